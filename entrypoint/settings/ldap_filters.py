"""LDAP filters and searches as people write them, taken apart into literals and placeholders.

Older installations wrote the daemons' own expansions into these variables (`$local_part`,
`${quote_ldap:$auth1}`, `%u`). They are understood, never executed: each daemon gets the
placeholders back in its own syntax, quoted for LDAP.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import quote, unquote

from entrypoint.settings.kinds import distinguished_name, printable
from entrypoint.settings.schema import Kind

Part = tuple[str, str]  # ("literal", text) or ("name", placeholder)

# A filter as in RFC 4515, whose placeholders are \1 and whose complete parts are \0.
_HOLE, _DONE = "\1", "\0"
_ITEM = re.compile(r"\(\s*[A-Za-z0-9.;:-]+\s*[~<>:]?=(?:[^()\\\0]|\\[0-9A-Fa-f]{2})+\)")
_GROUP = re.compile(r"\(\s*(?:[&|]\s*(?:\0\s*)*|!\s*\0\s*)\)")


@dataclass(frozen=True)
class Pattern:
    """An LDAP filter with placeholders."""

    parts: tuple[Part, ...]

    def names(self) -> set[str]:
        """The placeholders in it."""
        return {text for kind, text in self.parts if kind == "name"}

    def __str__(self) -> str:
        return "".join(text if kind == "literal" else f"<{text}>" for kind, text in self.parts)


@dataclass(frozen=True)
class LdapSearch:
    """Where and how to search: an LDAP URL (RFC 4516) without its host."""

    base: str
    attributes: tuple[str, ...]
    scope: str
    filter: Pattern

    def __str__(self) -> str:
        return f"ldap:///{self.base}?{','.join(self.attributes)}?{self.scope}?{self.filter}"


@dataclass(frozen=True)
class _Language:
    """How placeholders are spelled: regular expressions to names, and the sign that begins them."""

    sign: str
    forms: Mapping[str, str]
    needed: frozenset[str] = frozenset()  # one of these must be there

    def parse(self, text: str) -> Pattern:
        """The filter in `text`; ValueError when it is none, or none of this language."""
        cleaned = _plain(printable(text)).strip()
        pattern = Pattern(self._split(cleaned if cleaned.startswith("(") else f"({cleaned})"))
        if any(self.sign in literal for kind, literal in pattern.parts if kind == "literal"):
            raise ValueError(f"has a {self.sign} in another place than the known names")
        _insist_on_filter("".join(text if kind == "literal" else _HOLE for kind, text in pattern.parts))
        if self.needed and not self.needed & pattern.names():
            raise ValueError("names nobody")
        return pattern

    def _split(self, text: str) -> tuple[Part, ...]:
        names = list(self.forms.values())
        parts: list[Part] = []
        end = 0
        for match in re.finditer("|".join(f"({form})" for form in self.forms), text):
            if match.start() > end:
                parts.append(("literal", text[end : match.start()]))
            parts.append(("name", names[(match.lastindex or 1) - 1]))
            end = match.end()
        return (*parts, ("literal", text[end:])) if end < len(text) else tuple(parts)


def _plain(text: str) -> str:
    r"""Undo `\&` and `\\&`, which sed once asked for; write LDAPv2's `\*` as today, `\2a`."""
    text = re.sub(r"\\+&", "&", text)
    return re.sub(r"\\([*()])", lambda m: f"\\{ord(m[1]):02x}", text)


def _insist_on_filter(text: str) -> None:
    if re.search(r"\(\s*[^()=]*=\s*\)", text):
        raise ValueError("compares with nothing (did Compose replace a $name? single quotes keep it)")
    if text.count("(") != text.count(")"):
        raise ValueError("is no LDAP filter: its parentheses do not match")
    rest, smaller = "", _ITEM.sub(_DONE, text)
    while smaller != rest:
        rest, smaller = smaller, _GROUP.sub(_DONE, smaller)
    if rest != _DONE:
        raise ValueError("is no LDAP filter")


def _exim_forms(*names: str) -> dict[str, str]:
    return {rf"\$\{{quote_ldap:\$(?:{name}|\{{{name}\}})\}}|\$\{{{name}\}}|\${name}\b": name for name in names}


_DOVECOT_FORMS = {
    r"%L?u|%\{user\}": "user",
    r"%L?n|%\{user ?\| ?username\}": "user|username",
    r"%L?d|%\{user ?\| ?domain\}": "user|domain",
}
_LOGIN_FORMS = {
    r"\$\{quote_ldap:\$(?:auth[12]|\{auth[12]\})\}|\$\{auth[12]\}|\$auth[12]\b": "login",
}


def exim_pattern(*names: str, needed: str = "") -> Kind[Pattern]:
    """Filters in which Exim's `names` may stand, such as $local_part; one of them has to."""
    language = _Language("$", _exim_forms(*names), frozenset({needed} if needed else ()))
    shown = " and ".join(f"${name}" for name in names)
    return Kind(f"an LDAP filter with {shown}", language.parse)


def dovecot_pattern(*, needed: bool = True) -> Kind[Pattern]:
    """Filters in which Dovecot's %u (all of the login), %n and %d (its two parts) may stand."""
    language = _Language("%", _DOVECOT_FORMS, frozenset({"user", "user|username"} if needed else ()))
    return Kind("an LDAP filter with %u, %n or %d" if needed else "an LDAP filter", language.parse)


_URL = re.compile(r"ldaps?://([^/?]*)/([^?]*)\?([^?]*)\?([^?]*)\?(.*)", re.IGNORECASE)


def login_search() -> Kind[LdapSearch]:
    """LDAP URLs whose filter holds the login: $auth1, or $auth2 as in a PLAIN exchange."""
    return Kind("an LDAP URL with $auth1 or $auth2 in its filter", _search, _search_note)


def _search(text: str) -> LdapSearch:
    match = _URL.fullmatch(printable(text).strip())
    if not match:
        raise ValueError("is no LDAP URL with base, attributes, scope and filter")
    _, base, attributes, scope, pattern = match.groups()
    if scope not in {"", "base", "one", "sub"}:
        raise ValueError(f"has the scope {scope!r} instead of base, one or sub")
    listed = tuple(attribute for attribute in attributes.split(",") if attribute)
    found = _Language("$", _LOGIN_FORMS, frozenset({"login"})).parse(_decoded(pattern))
    return LdapSearch(base and distinguished_name(_decoded(base)), listed, scope or "base", found)


def _search_note(text: str) -> str:
    match = _URL.fullmatch(text.strip())
    return "its host is not used, LDAP_HOSTS are asked" if match and match[1] else ""


def _decoded(part: str) -> str:
    try:
        return unquote(part, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("has %XX that is not UTF-8") from None


def in_filter(value: str, _before: str = "") -> str:
    r"""`value` as \XX wherever a filter, or the placeholders in it, would take it for something else."""
    return re.sub(r"[\\*()&$%]", lambda m: f"\\{ord(m[0]):02x}", value)


def in_url(value: str, before: str) -> str:
    """`value` for an LDAP URL, of which `before` is written already: in its base or in its filter."""
    return quote(in_filter(value) if before.count("?") == 3 else value, safe="=,")
