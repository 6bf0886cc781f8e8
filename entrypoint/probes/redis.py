"""Redis: AUTH when there is a password, then PING.

Words of the server about AUTH are not repeated: one without that command quotes its arguments back.
"""

from __future__ import annotations

from entrypoint.errors import ProbeError
from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk, read_password

_ACCESS = {"NOAUTH", "WRONGPASS", "NOPERM", "DENIED"}


def ask_redis(talk: Talk, probe: Probe) -> str:
    if probe.password_file:
        log_in(talk, read_password(probe), probe.user)
    return ping(talk)


def ping(talk: Talk) -> str:
    """PONG."""
    talk.stage = "answer"
    reply = _command(talk, b"PING")
    if reply != "+PONG":
        raise _refusal(talk, reply)
    return "PONG"


def memory(probe: Probe) -> tuple[int, int]:
    """Bytes in use, and the limit; 0: none."""
    with Talk(probe) as talk:
        if probe.password_file:
            log_in(talk, read_password(probe), probe.user)
        talk.stage = "answer"
        reply = _command(talk, b"INFO", b"memory")
        if not reply.startswith("$"):
            raise _refusal(talk, reply)
        lines = talk.take(int(reply[1:])).decode(errors="replace").split("\r\n")
        found = dict(line.partition(":")[::2] for line in lines)
        if not found.keys() >= {"used_memory", "maxmemory"}:
            raise talk.error("does not tell how much memory it uses")
        return int(found["used_memory"]), int(found["maxmemory"])


def log_in(talk: Talk, password: bytes, user: str = "") -> None:
    """AUTH with a password, and a user where there are several."""
    talk.stage = "login"
    talk.secret = password
    reply = _command(talk, b"AUTH", *((user.encode(),) if user else ()), password)
    if reply == "+OK":
        return
    if "without any password" in reply or "no password is set" in reply:
        raise talk.error("a password is given, but the server has none", curable=False)
    if reply.startswith(("-WRONGPASS", "-ERR invalid password")):
        raise talk.error("the password is wrong", curable=False)
    raise _refusal(talk, reply.partition(" ")[0])


def _command(talk: Talk, *words: bytes) -> str:
    """The first line of the reply. Lengths go before the words, so they may hold any byte."""
    parts = b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
    talk.sendall(b"*%d\r\n%s" % (len(words), parts))
    return talk.line()


def _refusal(talk: Talk, reply: str) -> ProbeError:
    """LOADING, BUSY, MASTERDOWN, too many clients and the like pass; access does not come by itself."""
    if not reply.startswith("-"):
        return talk.error(f"does not speak Redis: {talk.quote(reply)!r}", curable=False)
    if reply[1:].partition(" ")[0] in _ACCESS:
        talk.stage = "login"
        return talk.error(f"refuses: {talk.quote(reply[1:])}", curable=False)
    return talk.error(f"refuses: {talk.quote(reply[1:])}")
