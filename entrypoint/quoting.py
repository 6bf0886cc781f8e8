"""One quoting function per syntax: text in, `Quoted` out, and no value can become configuration.

The renderer prints nothing but `Quoted` texts and numbers, so a template that forgets its filter
does not render. A function that cannot express a value in its syntax raises ValueError.
"""

from __future__ import annotations

import re
import string
from base64 import b64encode
from collections.abc import Iterable, Mapping
from urllib.parse import quote as percent

from entrypoint.settings.ldap_filters import Pattern
from entrypoint.settings.schema import Secret


class Quoted(str):
    """A text that is safe in the syntax it was quoted for."""

    __slots__ = ()


def _text(value: object) -> str:
    if isinstance(value, Secret):
        value = value.reveal()
    if value is None or isinstance(value, bool):
        raise ValueError(f"cannot print {value!r} as a text")
    text = str(value)
    if "\0" in text or "\n" in text or "\r" in text:
        raise ValueError("cannot print a line break or NUL in a configuration file")
    return text


_EXIM_SAFE = re.compile(rb"[A-Za-z0-9.@/=+,()&|*:%!?~-]|(?<=[^ ]) (?=[^ ])|_(?=[a-z0-9])")


def exim(value: object) -> Quoted:
    r"""For strings that Exim expands: all but plain characters as \xHH, which expand to themselves.

    Also before upper case letters: `_HAVE_TLS` and its like are macros, replaced anywhere in a
    line. (Exim specification, chapters 6 "Macros in the configuration file" and 11 "Expansions".)
    """
    raw = _text(value).encode()
    return Quoted("".join(chr(byte) if _EXIM_SAFE.match(raw, i) else f"\\x{byte:02x}" for i, byte in enumerate(raw)))


def exim_plain(value: object) -> Quoted:
    r"""For options that Exim does not expand: a string in double quotes, where \xHH counts too."""
    return Quoted(f'"{exim(value)}"')


def exim_list(values: Iterable[object]) -> Quoted:
    """For the items of a list that Exim expands first and splits at colons then."""
    return Quoted(" : ".join(exim(_list_item(_text(value)).replace(":", "::")) for value in values))


def _list_item(text: str) -> str:
    # Exim strips items, drops empty ones, and takes <x at the beginning of a list for a separator.
    if not text or text != text.strip() or text.startswith("<"):
        raise ValueError("cannot print an item that Exim's lists have no form for")
    return text


def exim_filter(pattern: Pattern, **names: str) -> Quoted:
    """An LDAP filter inside an LDAP URL; its placeholders become Exim's variables, quoted by Exim.

    `names` says which variable stands for a placeholder that is not one: `login="auth1"`.
    """
    return Quoted("".join(_exim_part(kind, text, names) for kind, text in pattern.parts))


def _exim_part(kind: str, text: str, names: Mapping[str, str]) -> str:
    if kind == "literal":
        return exim(percent(text, safe="()=&|!*<>~,.:@-_"))
    variable = names.get(text, text)
    if not re.fullmatch(r"[a-z][a-z0-9_]*", variable):
        raise ValueError(f"cannot print {variable}, which is no variable of Exim's")
    return f"${{quote_ldap:${variable}}}"


def exim_url(value: object) -> Quoted:
    """For a distinguished name in an LDAP URL that Exim expands."""
    return exim(percent(_text(value), safe="=,"))


def ldap_filter(value: object) -> Quoted:
    """For an assertion value in an LDAP filter (RFC 4515)."""
    return Quoted(re.sub(r"[\\*()\0]", lambda m: f"\\{ord(m[0]):02x}", _text(value)))


def ldap_dn(value: object) -> Quoted:
    """For an attribute value in a distinguished name (RFC 4514; ldap3 wants every # escaped)."""
    return Quoted(re.sub(r'[\\"+,;<>=#]|^ | $', lambda m: f"\\{m[0]}", _text(value)))


def dovecot(value: object) -> Quoted:
    """For a Dovecot 2.4 setting: in double quotes; %{…} would be expanded, %%{…} gives %{…}.

    Only there: %% before anything else stays as it is. (Dovecot 2.4, "Settings Variables".)
    """
    text = _text(value).replace("\\", "\\\\").replace('"', '\\"').replace("%{", "%%{")
    return Quoted(f'"{text}"')


def dovecot_filter(pattern: Pattern) -> Quoted:
    """An LDAP filter whose placeholders become Dovecot's variables, quoted for LDAP by Dovecot."""
    return Quoted('"' + "".join(_dovecot_part(kind, text) for kind, text in pattern.parts) + '"')


def _dovecot_part(kind: str, text: str) -> str:
    if kind == "literal":  # a per cent sign before a variable would be doubled by it
        return dovecot(text.replace("%", r"\25"))[1:-1]
    return f"%{{{text}}}"


def ucl(value: object) -> Quoted:
    r"""For rspamd's UCL: a JSON string in which all ASCII but plain characters is \uHHHH.

    rspamd's own templates and variables ({{ }}, {% %}, ${NAME}) are replaced inside of strings, too.
    Other characters stay: UCL does not put the two halves of a surrogate pair together.
    """
    return Quoted('"' + "".join(map(_ucl_char, _text(value))) + '"')


def _ucl_char(char: str) -> str:
    if char.isascii() and not char.isalnum() and char not in " .,:;@/_-+=()*":
        return f"\\u{ord(char):04x}"
    return char


_REDIS_SAFE = frozenset(b" ./:_-" + string.ascii_letters.encode() + string.digits.encode())


def redis(value: object) -> Quoted:
    r"""For redis.conf: in double quotes with \xHH for all but plain characters."""
    body = "".join(chr(byte) if byte in _REDIS_SAFE else f"\\x{byte:02x}" for byte in _text(value).encode())
    return Quoted(f'"{body}"')


def dnsmasq(value: object) -> Quoted:
    """For dnsmasq, which has no quoting that covers all: names, addresses and paths only."""
    return _only(r"[A-Za-z0-9._:/-]+", value, "dnsmasq's configuration")


def clamav(value: object) -> Quoted:
    """For clamd.conf and freshclam.conf, where a value is the rest of the line: words, paths and URLs only."""
    return _only(r"[A-Za-z0-9._:/~+-]+", value, "ClamAV's configuration")


def slapd(value: object) -> Quoted:
    """For slapd.conf: in double quotes."""
    text = _text(value).replace("\\", "\\\\").replace('"', '\\"')
    return Quoted(f'"{text}"')


_FETCHMAIL_SAFE = _REDIS_SAFE | frozenset(b"@+=")


def fetchmail(value: object) -> Quoted:
    r"""For strings of fetchmailrc: in double quotes with \xHH, of two digits always, for all but plain characters.

    (fetchmail(1), "The run control file"; rcfile_l.l and escapes() take no more than two.)
    """
    body = "".join(chr(byte) if byte in _FETCHMAIL_SAFE else f"\\x{byte:02x}" for byte in _text(value).encode())
    return Quoted(f'"{body}"')


def ldif(value: object) -> Quoted:
    """For the value of an LDIF line, in base64 with its colon: `mail:{{ mail | ldif }}`."""
    return Quoted(": " + b64encode(_text(value).encode()).decode())


def plain(value: object) -> Quoted:
    """For lookup files, whose keys and values are read as they are: names, addresses, paths."""
    return _only(r"[A-Za-z0-9._:@/+=-]+", value, "a lookup file")


def _only(characters: str, value: object, where: str) -> Quoted:
    if not re.fullmatch(characters, _text(value)):
        raise ValueError(f"cannot write {value!r} into {where}")  # stars, if it is a secret
    return Quoted(_text(value))


def base64(value: object) -> Quoted:
    """For any text where the reader takes base64."""
    return Quoted(b64encode(_text(value).encode()).decode())


FILTERS = {
    function.__name__: function
    for function in (
        base64,
        clamav,
        dnsmasq,
        dovecot,
        dovecot_filter,
        exim,
        exim_filter,
        exim_list,
        exim_plain,
        exim_url,
        fetchmail,
        ldap_dn,
        ldap_filter,
        ldif,
        plain,
        redis,
        slapd,
        ucl,
    )
}
