"""Relays in the world and the logins at them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from entrypoint.settings.kinds import HOST, host_name, items, port, printable
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


_RELAY = rf"(?:\[{HOST}\.*\]|{HOST}\.*)(?::[0-9]+)?"  # of ECMA 262, too


def _relay(text: str) -> Relay:
    match = re.fullmatch(r"(?:\[([^\[\]:=]+)\]|([^\[\]:=]+))(?::([0-9]+))?", text.strip())
    if not match:
        raise ValueError("is no relay")
    return Relay(host_name(match[1] or match[2]), port.parse(match[3] or "587"))


def _relay_for(text: str) -> tuple[str, Relay]:
    domain, equals, target = text.partition("=")
    if not equals:
        raise ValueError("has no =")
    return host_name(domain), _relay(target)


_relays_for = items(Kind("domain=host:port", _relay_for, pattern=rf"{HOST}\.*={_RELAY}"))


def _relay_map(text: str) -> tuple[tuple[str, Relay], ...]:
    found = _relays_for.parse(text)
    _insist_on_one("relays", (domain for domain, _ in found))
    return found


def _logins(text: str) -> tuple[RelayLogin, ...]:
    lines = enumerate(text.split("\n"), 1)  # not splitlines, which also ends one at U+2028
    found = tuple(_login(number, line) for number, line in lines if _used(line))
    _insist_on_one("logins", (login.host for login in found))
    return found


def _insist_on_one(what: str, names: Iterable[str]) -> None:
    name, count = max(Counter(names).items(), key=lambda found: found[1], default=("", 0))
    if count > 1:
        raise ValueError(f"has {count} {what} for {name}")


def _used(line: str) -> bool:
    return bool(line.strip()) and not line.lstrip().startswith("#")


def _login(number: int, line: str) -> RelayLogin:
    # The line itself is a secret: the error only counts.
    where, _, login = re.sub(r"\s+", " ", line.strip(), count=1).partition(" ")
    user, colon, password = login.partition(":")
    if not (user and colon and password) or " " in user:
        raise ValueError(f"has a line {number} that is not: host user:password")
    try:
        host = _relay(where).host
    except ValueError:
        raise ValueError(f"has no relay at the beginning of line {number}") from None
    return RelayLogin(host, _part(number, user), Secret(_part(number, password)))


def _part(number: int, text: str) -> str:
    """A printable part of a line; the error does not show it."""
    try:
        return printable(text)
    except ValueError as error:
        raise ValueError(f"has a line {number} that {error}") from None


relay = Kind("a relay as host or host:port", _relay, pattern=_RELAY)
relay_map = Kind(_relays_for.accepts, _relay_map, pattern=_relays_for.pattern)
relay_logins = Kind("lines of the form: host user:password", _logins)
