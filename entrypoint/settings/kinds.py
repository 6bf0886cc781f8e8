"""The sorts of values that settings accept; each says in words, and to programs, what it takes.

Nothing here knows a variable. Every kind refuses control characters: no setting has a use for them,
and each of them ends a line or a value in some daemon's file.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from entrypoint.settings.schema import Kind, short

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# Regular expressions of ECMA 262 and Python both: JSON Schema has them, too.
_LABEL = "[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
HOST = rf"{_LABEL}(?:\.{_LABEL})*"
_NAME = rf"(?=[0-9.]*[A-Za-z_-]){HOST}\.*"  # as it may be written, and no address
_EMAIL_LOCAL = "[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}"
_BYTE = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
_ADDRESS = rf"(?:{_BYTE}(?:\.{_BYTE}){{3}}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)"
_NETWORK = rf"{_ADDRESS}(?:/[0-9.]{{1,15}})?"
_PRINTABLE = r"[^\u0000-\u001f\u007f-\u009f\u2028\u2029]*"
_SELECTOR = HOST
_ATTRIBUTE = "[A-Za-z][A-Za-z0-9-]*"
_LOGIN = "[!-~]{1,256}"
_WORD = "[A-Za-z0-9_-]{1,64}"
_ZONE = "[A-Za-z0-9+_-]+(?:/[A-Za-z0-9+_-]+)*"
_NEIGHBOUR = r"[A-Za-z0-9._-]+=https?://[A-Za-z0-9.:\[\]_-]+(?:/[A-Za-z0-9._/-]*)?"
_TAG = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}"  # OCI distribution specification, "Pulling manifests"
_SPAN = r"(?:[0-9]+(?:\.[0-9]+)?(?:us|ms|s|m|h))+"  # Compose specification, "Specifying durations"
_FOLDER = r"(?:\.{0,2}/|~/)[^:]*|\.{1,2}|~|[A-Za-z0-9][A-Za-z0-9_.-]+"
# C0 and C1 controls, line and paragraph separator, and halves of characters (bytes that are no UTF-8).
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
LONGEST = 16384
_ZONES = Path("/usr/share/zoneinfo")
_K, _M, _G = 1024, 1024**2, 1024**3


def printable(value: str) -> str:
    """`value`, or ValueError when it has characters that no setting has a use for."""
    if len(value) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    if has_controls(value):
        raise ValueError("has control characters or a line break")
    return value


def has_controls(value: str) -> bool:
    """Whether there are characters in it that end a line or a value somewhere, or that nobody sees."""
    return bool(_CONTROLS.search(value))


def host_name(value: str) -> str:
    """A host name, or an IPv4 address, in lower case and without the dot of the root."""
    name = value.strip().rstrip(".").lower()
    if len(name) > 253 or not re.fullmatch(HOST, name):
        raise ValueError("is no host name" if name.isascii() else "is no host name in ASCII (xn--…)")
    return name


def item(parse: Callable[[str], T], part: str) -> T:
    """One item of several; the error says which."""
    try:
        return parse(part)
    except ValueError as error:
        raise ValueError(f"has {short(part)}, which {error}") from None


def _boolean(value: str) -> bool:
    word = value.strip().lower()
    if word in {"1", "yes", "true", "on"}:
        return True
    if word in {"0", "no", "false", "off"}:
        return False
    raise ValueError("is neither yes nor no")


def _own_host(value: str) -> str:
    name = host_name(value)
    if re.fullmatch(r"[0-9.]+", name):
        raise ValueError("is an address, not a name")
    return name


def _domain(value: str) -> str:
    name = _own_host(value)
    return name if "." in name else f"{name}.de"


def _domain_note(value: str) -> str:
    if "." in value.strip().rstrip("."):
        return ""
    return f"{value.strip()} has no dot and means {_domain(value)}; write the full name"


def _email(value: str) -> str:
    local, at, domain = value.strip().rpartition("@")
    if not at or not re.fullmatch(_EMAIL_LOCAL, local):
        raise ValueError("is no mail address")
    return f"{local}@{_own_host(domain)}"


def _path(value: str) -> str:
    if not printable(value).startswith("/"):
        raise ValueError("is no absolute path")
    return value


def _address(value: str) -> Address:
    try:
        found = ipaddress.ip_address(value.strip())
    except ValueError:
        raise ValueError("is no IP address") from None
    if "%" in str(found):
        raise ValueError("is the address of one interface (%)")
    return found


def _network(value: str) -> Network:
    try:
        found = ipaddress.ip_network(value.strip())
    except ValueError as error:
        reason = "has host bits set" if "host bits" in str(error) else "is no network"
        raise ValueError(reason) from None
    if "%" in str(found):
        raise ValueError("is a network of one interface (%)")
    return found


def _container_network(value: str) -> Network:
    found = _network(value)
    if found.num_addresses < 8:
        raise ValueError("is too small for the containers")
    return found


def holds(net: Network, one: Address) -> bool:
    """Whether `one` is in `net`, also when `net` writes it as IPv6 (::ffff:192.0.2.1, RFC 4291)."""
    if net.version == 6 and one.version == 4:
        one = ipaddress.ip_address(f"::ffff:{one}")
    return net.version == one.version and one in net


def integer(low: int, high: int, what: str = "a number") -> Kind[int]:
    """Whole numbers from `low` to `high`, both included."""

    def parse(value: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", value.strip()):
            raise ValueError("is no whole number")
        if not low <= int(value) <= high:
            raise ValueError("is out of range")
        return int(value)

    return Kind(f"{what} from {low} to {high}", parse, json={"type": "integer", "minimum": low, "maximum": high})


def decimal(low: float, high: float) -> Kind[float]:
    """Decimal numbers from `low` to `high`, both included."""

    def parse(value: str) -> float:
        if not re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,6})?", value.strip()):
            raise ValueError("is no number")
        if not low <= float(value) <= high:
            raise ValueError("is out of range")
        return float(value)

    limits = {"type": "number", "minimum": low, "maximum": high}
    return Kind(f"a number from {low:g} to {high:g}", parse, json=limits)


def choice(*words: str) -> Kind[str]:
    """One of the given words, in any case."""

    def parse(value: str) -> str:
        if value.strip().lower() not in words:
            raise ValueError("is none of them")
        return value.strip().lower()

    return Kind("one of " + ", ".join(words), parse, json={"enum": list(words)})


def items(kind: Kind[T], separators: str = r"\s", word: str = "separated by spaces") -> Kind[tuple[T, ...]]:
    """Several values of one kind; empty items are skipped."""

    def parse(value: str) -> tuple[T, ...]:
        found = tuple(item(kind.parse, part) for part in re.split(f"[{separators}]+", value) if part)
        if value and not found:
            raise ValueError("has nothing but separators")
        return found

    pattern = several(kind.pattern, separators) if kind.pattern else ""
    return Kind(f"{kind.accepts}, or several {word}", parse, pattern=pattern)


def any_case(word: str) -> str:
    """The regular expression for a word in capitals and small letters."""
    return "".join(f"[{letter.upper()}{letter}]" if letter.isalpha() else letter for letter in word)


def several(pattern: str, separators: str = r"\s") -> str:
    """The regular expression for none, one or more of `pattern`, between characters of the class `separators`."""
    return f"[{separators}]*(?:(?:{pattern})(?:[{separators}]+|$))*"


def _published(value: str) -> str:
    where, _, number = value.rpartition(":")
    if not where.strip():
        return str(port.parse(number))
    host_address = _address(where.strip().removeprefix("[").removesuffix("]"))
    shown = f"[{host_address}]" if host_address.version == 6 else str(host_address)
    return f"{shown}:{port.parse(number)}"


def _folder(value: str) -> str:
    if not re.fullmatch(_FOLDER, printable(value)):
        raise ValueError("is neither a path that begins with / or ./ (and has no colon) nor the name of a volume")
    return value


def _matches(pattern: str, problem: str) -> Callable[[str], str]:
    """A parser for texts that are taken as they are when they match."""

    def parse(value: str) -> str:
        if not re.fullmatch(pattern, value):
            raise ValueError(problem)
        return value

    return parse


def sized(low: int, high: int, accepts: str) -> Kind[int]:
    """Bytes from `low` to `high`; K, M and G are powers of 1024."""

    def parse(value: str) -> int:
        match = re.fullmatch(r"([0-9]{1,12})\s*([kmg]?)b?", value.strip().lower())
        if not match:
            raise ValueError("is no size")
        size = int(match[1]) * {"": 1, "k": _K, "m": _M, "g": _G}[match[2]]
        if not low <= size <= high:
            raise ValueError("is too small" if size < low else "is too large")
        return size

    limits = {"type": ["string", "integer"], "minimum": low, "maximum": high}
    return Kind(accepts, parse, pattern=r"[0-9]{1,12}\s*[KkMmGg]?[Bb]?", json=limits)


def unused(kind: Kind[T]) -> Kind[T]:
    """A kind whose values are read, but do nothing yet; whoever sets one is told, unless it is a no."""

    def note(value: str) -> str:
        return "" if kind.parse(value) is False else "does nothing yet, as no service of this version uses it"

    return replace(kind, note=note, used=False)


def _zone(value: str) -> str:
    name = value.strip()
    if len(name) > 255 or not re.fullmatch(_ZONE, name):
        raise ValueError("is no time zone")
    # The C library takes an unknown one for UTC and says nothing.
    if _ZONES.is_dir() and not (_ZONES / name).is_file():
        raise ValueError("is no known time zone")
    return name


text = Kind("a text of one line", printable, pattern=_PRINTABLE, json={"maxLength": LONGEST})
boolean = Kind("yes or no (1, 0, true, false, on, off)", _boolean, json={"type": "boolean"})
host = Kind("a host name", _own_host, pattern=_NAME)
domain = Kind("a domain", _domain, _domain_note, pattern=_NAME)
domain_part = Kind("a domain", _own_host, pattern=_NAME)
email = Kind("a mail address", _email, pattern=f"{_EMAIL_LOCAL}@{_NAME}")
path = Kind("an absolute path", _path, pattern=f"/{_PRINTABLE}")
address = Kind("an IP address", _address, pattern=_ADDRESS)
network = Kind("a network", _network, pattern=_NETWORK)
container_network = Kind("a network of 8 addresses or more", _container_network, pattern=_NETWORK)
port = integer(1, 65535, "a port")
# Exim's numbers have 31 bits; less than 64K would refuse ordinary mail.
message_size = sized(64 * _K, _G, "a size from 64K to 1G, in bytes or with K, M or G")
quota = sized(0, 1024 * 1024 * _G, "a size in bytes or with K, M or G, or 0")
memory = sized(16 * _M, 1024 * _G, "a size of 16M or more")
time_zone = Kind("a time zone", _zone, pattern=_ZONE)
login = Kind("a login name", _matches(_LOGIN, "is no login name"), pattern=_LOGIN)
selector = Kind("a DKIM selector", _matches(_SELECTOR, "is no DKIM selector"), pattern=_SELECTOR)
attribute = Kind("an LDAP attribute", _matches(_ATTRIBUTE, "is no LDAP attribute name"), pattern=_ATTRIBUTE)
image_tag = Kind("a tag of images", _matches(_TAG, "is no tag of images"), pattern=_TAG)
word = Kind("a word of letters, digits, - and _", _matches(_WORD, "is no such word"), pattern=_WORD)
duration = Kind("a time with its unit, as Compose writes it", _matches(_SPAN, "is no such time"), pattern=_SPAN)
folder = Kind("a folder of the host, beginning with / or ./, or the name of a volume", _folder, pattern=_FOLDER)
host_path = Kind("a path on the host", printable, pattern=_PRINTABLE)
hosts = items(host)
addresses = items(address)
domains = items(domain_part, r":;,\s", "separated by colons or spaces")


def _ldap_host(value: str) -> str:
    match = re.fullmatch(r"(?:(ldaps?)://)?([^:/]+)(?::([0-9]+))?/?", value, re.IGNORECASE)
    if not match:
        raise ValueError("is no directory server")
    scheme, name, given = match.groups()
    scheme = scheme and scheme.lower()
    number = port.parse(given) if given else {"ldaps": 636}.get(scheme, 389)
    scheme = scheme or ("ldaps" if number == 636 else "ldap")
    return f"{scheme}://{host_name(name)}:{number}"


# A distinguished name as in RFC 4514, its values with \, and the like, or \2C.
_PAIR = r"[A-Za-z0-9.-]+\s*=(?:\\[0-9A-Fa-f]{2}|\\[^0-9A-Fa-f]|[^\\,+\x22<>;])+"
_DN = rf"{_PAIR}(?:[,+]\s*{_PAIR})*"


def distinguished_name(value: str) -> str:
    """A DN that can be written into any search."""
    if not re.fullmatch(_DN, printable(value)):
        raise ValueError("is no distinguished name")
    return value


def _listed(value: str) -> list[str]:
    """Items of a list that may be separated as in Exim, where a colon is also in IPv6 addresses."""
    found: list[str] = []
    for part in re.split(r"[\s,;]+", value):
        found += [part] if is_network(part) else part.split(":")
    return [part for part in found if part]


def is_network(part: str) -> bool:
    """Whether the text is an address or a network, and not a name."""
    try:
        ipaddress.ip_network(part, strict=False)
    except ValueError:
        return False
    return True


def _relay_hosts(value: str) -> tuple[str, ...]:
    return tuple(item(_relay_host, part) for part in _listed(value))


def _relay_host(part: str) -> str:
    if "/" in part:
        return str(_network(part))
    return str(_address(part)) if is_network(part) else _own_host(part)


def _networks(value: str) -> tuple[Network, ...]:
    return tuple(item(_network, part) for part in _listed(value))


def _dns_upstream(value: str) -> tuple[str, ...]:
    word = value.strip().lower()
    return (word,) if word in {"system", "none"} else tuple(str(found) for found in addresses.parse(value))


def _dns_host(value: str) -> tuple[str, str]:
    name, equals, where = value.partition("=")
    if not equals:
        raise ValueError("has no =")
    return _own_host(name), str(_address(where))


def _mirror(value: str) -> str:
    word = value.strip()
    if word.lower() == "none":
        return "none"
    return word if re.fullmatch(_URL, word) else _own_host(word)


_URL = r"https?://[A-Za-z0-9._-]+(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~+/-]*)?"
_LISTED = r"[A-Za-z0-9_.:/\s,;-]*"  # the colon separates addresses and is in them: their characters, no more
_SCHEME = f"(?:{any_case('ldap')}[Ss]?://)?"

published = Kind(
    "a port of the host, or address:port",
    _published,
    pattern=rf"(?:\s*\[?{_ADDRESS}\]?\s*:)?:?\s*[0-9]+",
    json={"type": ["string", "integer"], "minimum": 1, "maximum": 65535},
)
ldap_hosts = items(
    Kind(
        "a server as host, host:port, ldap://host or ldaps://host",
        _ldap_host,
        pattern=rf"{_SCHEME}{HOST}\.*(?::[0-9]+)?/?",
    )
)
dn = Kind("a distinguished name", distinguished_name, pattern=_DN)
group_dn = Kind("a distinguished name", distinguished_name, pattern=_DN)
relay_hosts = Kind(
    "host names, addresses or networks, separated by spaces or colons",
    _relay_hosts,
    pattern=_LISTED,
)
networks = Kind("networks separated by spaces", _networks, pattern=_LISTED)
neighbours = items(
    Kind("name=http://host:port", _matches(_NEIGHBOUR, "is not name=http://host:port"), pattern=_NEIGHBOUR)
)
dns_upstream = Kind(
    "system, none, or IP addresses separated by spaces",
    _dns_upstream,
    pattern=f"{any_case('system')}|{any_case('none')}|{several(_ADDRESS)}",
)
mirror = Kind("none, a host name, or a URL as http://host/path", _mirror, pattern=rf"\s*(?:{_URL}|{_NAME})\s*")
signature_urls = items(Kind("a URL as https://host/name.ndb", _matches(rf"{_URL}", "is no such URL"), pattern=_URL))
memory_limit = Kind(
    "a size with its unit, as Compose writes it",
    _matches(r"[1-9][0-9]{0,5}[kmgKMG]b?", "is no such size"),
    pattern="[1-9][0-9]{0,5}[kmgKMG]b?",
)
dns_hosts = items(Kind("name=address", _dns_host, pattern=f"{_NAME}={_ADDRESS}"))
