"""Rules in the words of nft: a table of our own, which replaces itself whenever it is loaded.

A packet that one table accepts can still be dropped by another, so it does not matter where Docker's rules are, nor in
which order they come: this table only drops. Its chain for forwarded packets says what iptables' DOCKER-USER would.

Connections over IPv6 to a mail network without IPv6 end at Docker's proxy on the host, and are no forwarded packets.
So the networks that a port is for (`--from`) are asked of those, too.
"""

from __future__ import annotations

from collections.abc import Iterator

from entrypoint.firewall.openings import Opening, Openings

TABLE = "inet postern"
_FAMILIES = {4: "ip", 6: "ip6"}


def rules(found: Openings) -> str:
    """A file for `nft -f`."""
    return "".join(f"{line}\n" for line in _lines(found))


def _lines(found: Openings) -> Iterator[str]:
    yield "# Made by entrypoint firewall nftables."
    yield f"table {TABLE}"
    yield f"delete table {TABLE}"
    yield f"table {TABLE} {{"
    for version, family in _FAMILIES.items():
        if found.networks_of(version):
            yield f"    chain mail_{family} {{"
            yield "        ct state established,related return"
            yield from (f"        {rule}" for opening in found.of(version) for rule in [_let_in(opening, family)])
            yield "        counter drop"
            yield "    }"
    yield "    chain forward {"
    yield "        type filter hook forward priority filter - 10; policy accept;"
    where = f'iifname "{found.interface}" ' if found.interface else ""
    for network in found.networks:
        family = _FAMILIES[network.version]
        yield f"        {where}{family} saddr != {network} {family} daddr {network} jump mail_{family}"
    yield "    }"
    yield from _of_the_host(found, where)
    yield "}"


def _let_in(opening: Opening, family: str) -> str:
    words = [f"{family} saddr {_set(opening)}"] if opening.sources else []
    words += ["meta l4proto tcp ct status dnat ct direction original"]
    words += [f"ct original {family} daddr {opening.address}"] if opening.address else []
    words += [f'ct original proto-dst {opening.port} return comment "{opening.told}"']
    return " ".join(words)


def _of_the_host(found: Openings, where: str) -> Iterator[str]:
    """What ends at Docker's proxy: only for ports that are not for everybody."""
    limited = [each for each in found.openings if each.sources]
    if not limited:
        return
    yield "    chain input {"
    yield "        type filter hook input priority filter - 10; policy accept;"
    yield '        iifname "lo" return'
    for version, family in _FAMILIES.items():
        allowed = {(each.port, each.address): each for each in found.of(version)}
        for each in limited:
            if each.version not in {None, version}:
                continue
            sources = allowed.get((each.port, each.address))
            address = f"{family} daddr {each.address} " if each.address else ""
            others = f"{family} saddr != {_set(sources)} " if sources else f"meta nfproto ipv{version} "
            yield f'        {where}{address}{others}tcp dport {each.port} counter drop comment "{each.told}"'
    yield "    }"


def _set(opening: Opening) -> str:
    return f"{{ {', '.join(map(str, opening.sources))} }}"
