"""Rules in the words of iptables-restore, for /etc/ufw/after.rules: a chain of our own, called from DOCKER-USER.

That is Docker's chain for rules of other people, through which forwarded packets go before its own. The destination is
a container already, so the port of the host is asked of the connection: `--ctorigdstport`, and only of connections that
Docker has sent on (state DNAT), or the same number at a container itself would do.

ufw empties chains that a file of it declares: DOCKER-USER has what is in this block.
"""

from __future__ import annotations

from collections.abc import Iterator

from entrypoint.firewall.openings import Opening, Openings
from entrypoint.settings.kinds import Network

BEGIN, END = "# BEGIN postern (entrypoint firewall ufw)", "# END postern"
CHAIN = "POSTERN"


def rules(found: Openings, version: int = 4) -> str:
    """The block for after.rules, or (6) after6.rules."""
    return "".join(f"{line}\n" for line in _lines(found, version))


def _lines(found: Openings, version: int) -> Iterator[str]:
    yield BEGIN
    yield "*filter"
    yield f":{CHAIN} - [0:0]"
    yield ":DOCKER-USER - [0:0]"
    where = f"-i {found.interface} " if found.interface else ""
    for network in found.networks_of(version):
        # What containers say to each other passes here too, where bridges are filtered (br_netfilter).
        yield f"-A DOCKER-USER {where}! -s {network} -d {network} -j {CHAIN}"
    yield f"-A {CHAIN} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"
    for opening in found.of(version):
        for source in opening.sources or ("",):
            yield f"-A {CHAIN} {_match(opening, source)} -j RETURN"
    yield f"-A {CHAIN} -j DROP"
    yield "COMMIT"
    yield END


def _match(opening: Opening, source: Network | str) -> str:
    words = [f"-s {source}"] if source else []
    words += ["-p tcp -m conntrack --ctstate DNAT --ctdir ORIGINAL"]
    words += [f"--ctorigdst {opening.address}"] if opening.address else []
    words += [f"--ctorigdstport {opening.port}", f'-m comment --comment "{opening.told}"']
    return " ".join(words)
