"""clamd: PING, which it answers with PONG as soon as it has its signatures (clamd(8), "COMMANDS")."""

from __future__ import annotations

from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk


def ask_clamd(talk: Talk, _probe: Probe) -> str:
    talk.sendall(b"nPING\n")
    reply = talk.line()
    if reply != "PONG":
        raise talk.error(f"does not speak clamd's protocol: {talk.quote(reply)!r}", curable=False)
    return "PONG"


def ask_reload(talk: Talk) -> str:
    """Have it read its signatures again."""
    talk.sendall(b"nRELOAD\n")
    return talk.line()
