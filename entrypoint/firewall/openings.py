"""What may come in: the published ports of the services in use, and from where.

A port for this machine only (127.0.0.1) needs no rule: nobody outside can reach it, and none lets them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from entrypoint import service
from entrypoint.doctor.records import Known, settings_of
from entrypoint.environment import in_use
from entrypoint.environment.between import PUBLISHED, Published
from entrypoint.errors import UsageError
from entrypoint.settings import kinds
from entrypoint.settings.kinds import Network
from entrypoint.settings.schema import Kind, short

T = TypeVar("T")

# Of Linux: at most 15 bytes, no slash and no blank (net/core/dev.c, dev_valid_name); + and * would be patterns.
_INTERFACE = re.compile(r"(?!\.\.?$)[A-Za-z0-9_.@-]{1,15}")


@dataclass(frozen=True)
class Opening:
    """A port of the host that others may connect to: at `address` ("" for all), from `sources` (none for everywhere).

    `told` says whose port it is.
    """

    port: int
    told: str
    address: str = ""
    sources: tuple[Network, ...] = ()

    @property
    def version(self) -> int | None:
        """4 or 6; None for a port at the addresses of both."""
        return kinds.address.parse(self.address).version if self.address else None


@dataclass(frozen=True)
class Openings:
    """All that may come in from outside; `interface` is where outside is, "" for wherever."""

    networks: tuple[Network, ...]  # of the containers
    openings: tuple[Opening, ...]
    interface: str = ""

    def networks_of(self, version: int) -> list[Network]:
        """The containers' networks of IPv4 or IPv6."""
        return [network for network in self.networks if network.version == version]

    def of(self, version: int) -> list[Opening]:
        """What may come in over IPv4 or IPv6, with the sources of that; where there are none of it, nobody may."""
        found = []
        for each in self.openings:
            sources = tuple(source for source in each.sources if source.version == version)
            if each.version in {None, version} and (sources or not each.sources):
                found.append(Opening(each.port, each.told, each.address, sources))
        return found


def openings(
    env: Mapping[str, str],
    *,
    interface: str = "",
    limits: Sequence[str] = (),
    more_ports: Sequence[str] = (),
    more_networks: Sequence[str] = (),
) -> Openings:
    """What the variables publish, with `limits` of the form PORT=NETWORK, where PORT is a number or a variable.

    `more_ports` are those of an override file, `more_networks` further ones of the containers. SettingsError for a
    wrong variable, UsageError for a wrong text of these.
    """
    known = settings_of(env)
    found = [*_published(known, env), *_more(more_ports)]
    sources = _sources(limits, found)
    return Openings(
        networks=(known.mail_network, *(_asked("--network", kinds.network, text) for text in more_networks)),
        openings=tuple(Opening(each.port, each.told, each.address, sources.get(each.port, ())) for each in found),
        interface=_interface(interface),
    )


def _published(known: Known, env: Mapping[str, str]) -> Iterable[Opening]:
    used = {each.name for each in in_use(map(service.find, service.names()), env)}
    for name, owner in PUBLISHED.items():
        port = Published.read(name, getattr(known, name.lower()))
        if owner in used and not _is_of_this_machine(port.address):
            address = "" if port.address in {"0.0.0.0", "::"} else port.address  # noqa: S104  # compared, not bound
            yield Opening(port.port, f"{name}, {owner}", address)


def _is_of_this_machine(address: str) -> bool:
    return bool(address) and kinds.address.parse(address).is_loopback


def _more(ports: Iterable[str]) -> Iterable[Opening]:
    for text in ports:
        yield Opening(_asked("--port", kinds.port, text), "--port")


def _sources(limits: Iterable[str], found: Sequence[Opening]) -> dict[int, tuple[Network, ...]]:
    """Networks by port."""
    sources: dict[int, tuple[Network, ...]] = {}
    for text in limits:
        which, equals, where = text.partition("=")
        if not equals:
            raise UsageError(
                f"cannot use --from {short(text)}: it is not PORT=NETWORK, for example 2587=192.0.2.0/24 or "
                "MANAGESIEVE_PORT=2001:db8:1::/48"
            )
        ports = {each.port for each in found if which in {str(each.port), each.told.partition(",")[0]}}
        if not ports:
            listed = ", ".join(f"{each.port} ({each.told})" for each in found) or "none"
            raise UsageError(
                f"cannot use --from {short(text)}: {which} is not published to others; these are: {listed}"
            )
        network = _asked("--from", kinds.network, where)
        sources |= {port: (*sources.get(port, ()), network) for port in ports}
    return sources


def _interface(text: str) -> str:
    if text and not _INTERFACE.fullmatch(text):
        raise UsageError(f"cannot use --interface {short(text)}: it is the name of one interface, for example eth0")
    return text


def _asked(option: str, kind: Kind[T], text: str) -> T:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise UsageError(f"cannot use {option} {short(text)}: it {error}; it accepts {kind.accepts}") from None
