"""LDAP filters and searches as people write them, taken apart into literals and placeholders.

Older installations wrote the daemons' own expansions into these variables (`$local_part`,
`${quote_ldap:$auth1}`, `%u`). They are understood, never executed: each daemon gets the
placeholders back in its own syntax, quoted for LDAP.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from entrypoint.settings.kinds import _printable
from entrypoint.settings.schema import Kind

Part = tuple[str, str]  # ("literal", text) or ("name", placeholder)


@dataclass(frozen=True)
class Pattern:
    """An LDAP filter with placeholders."""

    parts: tuple[Part, ...]

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


def plain_ampersands(text: str) -> str:
    r"""Undo `\&` and `\\&`, which sed once asked for; the plain form stays."""
    return re.sub(r"\\{1,2}&", "&", text)


def _split(text: str, forms: dict[str, str]) -> tuple[Part, ...]:
    """Literals and the placeholders that `forms` (regular expression to name) finds."""
    pattern = "|".join(f"({form})" for form in forms)
    names = list(forms.values())
    parts: list[Part] = []
    end = 0
    for match in re.finditer(pattern, text):
        if match.start() > end:
            parts.append(("literal", text[end : match.start()]))
        parts.append(("name", names[(match.lastindex or 1) - 1]))
        end = match.end()
    if end < len(text):
        parts.append(("literal", text[end:]))
    return tuple(parts)


def _balanced(literals: str) -> None:
    depth = 0
    for char in literals:
        depth += {"(": 1, ")": -1}.get(char, 0)
        if depth < 0:
            break
    if depth or not literals.startswith("("):
        raise ValueError("is no LDAP filter: its parentheses do not match")


def _pattern(text: str, forms: dict[str, str], sign: str) -> Pattern:
    pattern = Pattern(_split(plain_ampersands(_printable(text)).strip(), forms))
    literals = "".join(t for kind, t in pattern.parts if kind == "literal")
    if sign in literals:
        raise ValueError(f"has {sign!r} in another place than the known names")
    _balanced(literals)
    return pattern


def _exim_forms(*names: str) -> dict[str, str]:
    forms = {}
    for name in names:
        forms[rf"\$\{{quote_ldap:\$(?:{name}|\{{{name}\}})\}}|\$\{{{name}\}}|\${name}\b"] = name
    return forms


_DOVECOT_FORMS = {
    r"%u|%\{user\}": "user",
    r"%n|%\{user ?\| ?username\}": "user|username",
    r"%d|%\{user ?\| ?domain\}": "user|domain",
}


def exim_pattern(*names: str) -> Kind[Pattern]:
    """Filters in which Exim's `names` may stand, such as $local_part."""
    shown = ", ".join(f"${name}" for name in names)
    return Kind(
        f"an LDAP filter with {shown}", lambda text: _pattern(text, _exim_forms(*names), "$")
    )


def dovecot_pattern() -> Kind[Pattern]:
    """Filters in which Dovecot's %u (all of the login), %n and %d (its two parts) may stand."""
    return Kind("an LDAP filter with %u, %n or %d", lambda text: _pattern(text, _DOVECOT_FORMS, "%"))


def login_search() -> Kind[LdapSearch]:
    """LDAP URLs whose filter holds the login: $auth1, or $auth2 as in a PLAIN exchange."""
    quoted = r"\$\{quote_ldap:\$(?:auth[12]|\{auth[12]\})\}"
    forms = {rf"{quoted}|\$\{{auth[12]\}}|\$auth[12]\b": "login"}

    def parse(text: str) -> LdapSearch:
        match = re.fullmatch(r"ldaps?://[^/?]*/([^?]*)\?([^?]*)\?([^?]*)\?(.*)", text.strip())
        if not match:
            raise ValueError("is no LDAP URL with base, attributes, scope and filter")
        base, attributes, scope, pattern = match.groups()
        if scope not in ("", "base", "one", "sub"):
            raise ValueError(f"has the scope {scope!r} instead of base, one or sub")
        listed = tuple(a for a in attributes.split(",") if a)
        inner = _pattern(pattern, forms, "$")
        return LdapSearch(unquote(base), listed, scope or "base", inner)

    return Kind("an LDAP URL such as ldap:///BASE??sub?(mail=${quote_ldap:$auth1})", parse)
