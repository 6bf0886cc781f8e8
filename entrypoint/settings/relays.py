"""Relays in the world and the logins at them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from entrypoint.settings.kinds import _host, _printable, integer, items
from entrypoint.settings.schema import Kind, Secret


@dataclass(frozen=True)
class Relay:
    """A host that takes mail for others, and its port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"


@dataclass(frozen=True)
class RelayLogin:
    """Who we are at a relay."""

    host: str
    user: str
    password: Secret


_port = integer(1, 65535).parse


def _relay(text: str) -> Relay:
    match = re.fullmatch(r"\[?([^\[\]:=]+)\]?(?::([0-9]+))?", text.strip())
    if not match:
        raise ValueError("is no relay")
    return Relay(_host(match[1]), _port(match[2] or "587"))


def _relay_for(text: str) -> tuple[str, Relay]:
    domain, equals, target = text.partition("=")
    if not equals:
        raise ValueError("has no =")
    return _host(domain), _relay(target)


def _logins(text: str) -> tuple[RelayLogin, ...]:
    return tuple(_login(number, line) for number, line in enumerate(text.splitlines(), 1) if _used(line))


def _used(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _login(number: int, line: str) -> RelayLogin:
    # The line itself is a secret: the error only counts.
    where, _, login = line.strip().partition(" ")
    user, colon, password = login.strip().partition(":")
    if not (user and colon and password):
        raise ValueError(f"has a line {number} that is not: host user:password")
    try:
        host = _relay(where).host
    except ValueError:
        raise ValueError(f"has no relay at the beginning of line {number}") from None
    return RelayLogin(host, _printable(user), Secret(_printable(password)))


relay = Kind("a relay as host or host:port", _relay)
relay_map = items(Kind("domain=host:port", _relay_for))
relay_logins = Kind("lines of the form: host user:password", _logins)
