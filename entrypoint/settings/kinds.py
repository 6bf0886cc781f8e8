"""The sorts of values that settings accept; each says in words what it takes.

Nothing here knows a variable. Every kind refuses control characters: no setting has a use for them,
and each of them ends a line or a value in some daemon's file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TypeVar

from entrypoint.settings.schema import Kind

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_LABEL = r"(?!-)[a-z0-9_-]{1,63}(?<!-)"
_HOST = re.compile(rf"{_LABEL}(?:\.{_LABEL})*", re.IGNORECASE | re.ASCII)
_EMAIL_LOCAL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]+", re.IGNORECASE | re.ASCII)
_LONGEST = 16384


def _printable(text: str) -> str:
    if len(text) > _LONGEST:
        raise ValueError(f"is longer than {_LONGEST} characters")
    if any(ord(char) < 32 or ord(char) == 127 or 0xD800 <= ord(char) < 0xE000 for char in text):
        raise ValueError("has control characters or a line break")
    return text


def _boolean(value: str) -> bool:
    word = value.strip().lower()
    if word in ("1", "yes", "true", "on"):
        return True
    if word in ("0", "no", "false", "off"):
        return False
    raise ValueError("is neither yes nor no")


def _host(value: str) -> str:
    name = value.strip().rstrip(".").lower()
    if len(name) > 253 or not _HOST.fullmatch(name):
        raise ValueError("is no host name")
    return name


def _domain(value: str) -> str:
    name = _host(value)
    return name if "." in name else f"{name}.de"


def _domain_note(value: str) -> str:
    if "." in value.strip().rstrip("."):
        return ""
    return f"{value.strip()} has no dot and means {_domain(value)}; write the full name"


def _email(value: str) -> str:
    local, at, domain = value.strip().rpartition("@")
    if not at or not _EMAIL_LOCAL.fullmatch(local):
        raise ValueError("is no mail address")
    return f"{local}@{_host(domain)}"


def _path(value: str) -> str:
    if not _printable(value).startswith("/"):
        raise ValueError("is no absolute path")
    return value


def _address(value: str) -> Address:
    try:
        return ipaddress.ip_address(value.strip())
    except ValueError:
        raise ValueError("is no IP address") from None


def _network(value: str) -> Network:
    try:
        return ipaddress.ip_network(value.strip())
    except ValueError as error:
        reason = "has host bits set" if "host bits" in str(error) else "is no network"
        raise ValueError(reason) from None


def integer(low: int, high: int, what: str = "a number") -> Kind[int]:
    """Whole numbers from `low` to `high`, both included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
            raise ValueError("is no whole number")
        if not low <= int(value) <= high:
            raise ValueError("is out of range")
        return int(value)

    return Kind(f"{what} from {low} to {high}", parse)


def decimal(low: float, high: float) -> Kind[float]:
    """Decimal numbers from `low` to `high`, both included."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", value.strip()):
            raise ValueError("is no number")
        if not low <= float(value) <= high:
            raise ValueError("is out of range")
        return float(value)

    return Kind(f"a number from {low:g} to {high:g}", parse)


def choice(*words: str) -> Kind[str]:
    """One of the given words, in any case."""

    def parse(value: str) -> str:
        if value.strip().lower() not in words:
            raise ValueError("is none of them")
        return value.strip().lower()

    return Kind("one of " + ", ".join(words), parse)


def items(kind: Kind[T], separators: str = r"\s", word: str = "separated by spaces") -> Kind[tuple[T, ...]]:
    """Several values of one kind; empty items are skipped."""

    def parse(value: str) -> tuple[T, ...]:
        found = [part.strip() for part in re.split(rf"[{separators}]+", value)]
        return tuple(_item(kind.parse, part) for part in found if part)

    return Kind(f"{kind.accepts}, or several {word}", parse)


def _item(parse: Callable[[str], T], part: str) -> T:
    try:
        return parse(part)
    except ValueError as error:
        raise ValueError(f"has {part!r}, which {error}") from None


def _size(value: str) -> int:
    match = re.fullmatch(r"([0-9]{1,12})\s*([kmg]?)b?", value.strip().lower())
    if not match:
        raise ValueError("is no size")
    return int(match[1]) * {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}[match[2]]


def _redis_memory(value: str) -> int:
    size = _size(value)
    if size < 16 * 1024**2:
        raise ValueError("is less than 16M")
    return size


def _zone(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9+_-]+(/[A-Za-z0-9+_-]+)*", value):
        raise ValueError("is no time zone")
    return value


def _login(value: str) -> str:
    if not re.fullmatch(r"[\x21-\x7e]{1,256}", value):
        raise ValueError("is no login name")
    return value


def _selector(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("is no DKIM selector")
    return value


def _attribute(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]*", value):
        raise ValueError("is no LDAP attribute name")
    return value


text = Kind("a text of one line", _printable)
boolean = Kind("yes or no (1, 0, true, false, on, off)", _boolean)
host = Kind("a host name", _host)
domain = Kind("a domain such as example.org", _domain, _domain_note)
domain_part = Kind("a domain", _host)
email = Kind("a mail address", _email)
path = Kind("an absolute path", _path)
address = Kind("an IP address", _address)
network = Kind("a network such as 192.0.2.0/24 or 2001:db8::/32", _network)
port = integer(1, 65535, "a port")
size = Kind("a size in bytes, or with K, M or G", _size)
memory = Kind("a size of 16M or more", _redis_memory)
time_zone = Kind("a time zone such as Europe/Berlin", _zone)
login = Kind("a login name", _login)
selector = Kind("a DKIM selector", _selector)
attribute = Kind("an LDAP attribute", _attribute)
hosts = items(host)
addresses = items(address)
domains = items(domain_part, r":;,\s", "separated by colons or spaces")


def _ldap_host(value: str) -> str:
    match = re.fullmatch(r"(?:(ldaps?)://)?([^:/]+)(?::([0-9]+))?/?", value)
    if not match:
        raise ValueError("is no directory server")
    scheme, name, given = match.groups()
    number = port.parse(given) if given else {"ldaps": 636}.get(scheme, 389)
    scheme = scheme or ("ldaps" if number == 636 else "ldap")
    return f"{scheme}://{_host(name)}:{number}"


def _ldap_hosts(value: str) -> tuple[str, ...]:
    return items(Kind("", _ldap_host)).parse(value)


def _dn(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9.-]+=[^,]+(,\s*[A-Za-z0-9.-]+=[^,]+)*", _printable(value)):
        raise ValueError("is no distinguished name")
    return value


def _group_dn(value: str) -> str:
    if set(_dn(value)) & set("*()\\"):
        raise ValueError(r"has one of * ( ) \, which a filter cannot take as they are")
    return value


def _listed(value: str) -> list[str]:
    """Items of a list that may be separated as in Exim, where a colon is also in IPv6 addresses."""
    found: list[str] = []
    for part in re.split(r"[\s,;]+", value):
        found += [part] if _is_network(part) else part.split(":")
    return [part for part in found if part]


def _is_network(part: str) -> bool:
    try:
        ipaddress.ip_network(part, strict=False)
    except ValueError:
        return False
    return True


def _relay_hosts(value: str) -> tuple[str, ...]:
    return tuple(_item(_relay_host, part) for part in _listed(value))


def _relay_host(part: str) -> str:
    try:
        return str(ipaddress.ip_network(part)) if "/" in part else str(ipaddress.ip_address(part))
    except ValueError:
        return _host(part)


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(_item(_network, part) for part in _listed(value))


def _neighbour(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+=https?://[A-Za-z0-9.:\[\]_-]+(/[A-Za-z0-9._/-]*)?", value):
        raise ValueError("is not name=http://host:port")
    return value


def _dns_upstream(value: str) -> tuple[str, ...]:
    if value.strip() in ("system", "none"):
        return (value.strip(),)
    return tuple(str(found) for found in addresses.parse(value))


def _dns_host(value: str) -> tuple[str, str]:
    name, equals, where = value.partition("=")
    if not equals:
        raise ValueError("has no =")
    return _host(name), str(_address(where))


ldap_hosts = Kind("servers as host, host:port, ldap://host or ldaps://host", _ldap_hosts)
dn = Kind("a distinguished name such as ou=people,dc=example,dc=org", _dn)
group_dn = Kind("a distinguished name such as cn=mail,ou=groups,dc=example,dc=org", _group_dn)
relay_hosts = Kind("host names, addresses or networks", _relay_hosts)
networks = Kind("networks such as 192.0.2.0/24, separated by spaces", _networks)
neighbours = items(Kind("name=http://host:port", _neighbour))
dns_upstream = Kind("system, none, or IP addresses", _dns_upstream)
dns_hosts = items(Kind("name=address", _dns_host))
