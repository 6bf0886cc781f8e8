"""Distinguished names (RFC 4514), as `kinds.dn` takes them or slapd gives them: taken apart, compared, put together."""

from __future__ import annotations

import re

from entrypoint.quoting import ldap_dn

_VALUE = r"(?:\\[0-9A-Fa-f]{2}|\\.|[^\\,+])*"
_PAIR = re.compile(rf"\s*([A-Za-z0-9.-]+)\s*=\s*({_VALUE}?)\s*(?:[,+]|$)", re.DOTALL)
_ESCAPES = re.compile(rb"\\([0-9A-Fa-f]{2})|\\(.)", re.DOTALL)


def parts(dn: str) -> list[tuple[str, str]]:
    """Attribute and value of each part: [("ou", "people"), ("dc", "example")]; ValueError for what is no name."""
    found, end = [], 0
    while end < len(dn):
        match = _PAIR.match(dn, end)
        if not match:
            raise ValueError(f"cannot read the name {dn[:80]!r}")
        found.append((match[1].lower(), _unescaped(match[2])))
        end = match.end()
    return found


def _unescaped(value: str) -> str:
    raw = _ESCAPES.sub(lambda match: bytes.fromhex(match[1].decode()) if match[1] else match[2], value.encode())
    return raw.decode(errors="replace")


def same(dn: str) -> tuple[tuple[str, str], ...]:
    """What is equal for two spellings of one name."""
    return tuple((attribute, " ".join(value.casefold().split())) for attribute, value in parts(dn))


def is_below(dn: str, suffix: str) -> bool:
    """Whether the name is the suffix's, or one below it."""
    return same(dn)[-len(parts(suffix)) :] == same(suffix)


def joined(attribute: str, value: str, parent: str) -> str:
    """The name of an entry below another one."""
    return f"{attribute}={ldap_dn(value)},{parent}"


def parent(dn: str) -> str:
    """The name of the entry above."""
    match = _PAIR.match(dn)
    return dn[match.end() :].strip() if match else ""
