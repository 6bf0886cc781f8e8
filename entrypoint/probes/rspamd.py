"""rspamd: GET /ping, which its workers answer with "pong" when they are ready."""

from __future__ import annotations

from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk

_HEAD_LIMIT = 100


def ask_rspamd(talk: Talk, _probe: Probe) -> str:
    talk.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
    _check_status(talk)
    for _ in range(_HEAD_LIMIT):
        if not talk.line():
            break
    body = talk.take(4)
    if body != b"pong":
        raise talk.error(f"answers {body!r} … instead of 'pong'", curable=False)
    return "pong"


def _check_status(talk: Talk) -> None:
    """RFC 9110: 5xx is the server's trouble and may pass."""
    line = talk.line()
    version, code = [*line.split(), "", ""][:2]
    if not version.startswith("HTTP/"):
        raise talk.error(f"does not speak HTTP: {talk.quote(line)!r}", curable=False)
    if code != "200":
        raise talk.error(f"refuses: {talk.quote(line)}", curable=code.startswith("5"))
