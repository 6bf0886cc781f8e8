"""Waiting: until a server answers, until it is hopeless, until the deadline, or until a signal."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from entrypoint.errors import NeedRefused, ProbeError, Unavailable
from entrypoint.plan import Need, Probe
from entrypoint.wait import wait_for
from tests.unit.servers import Directory, Redis, Server, closes, silence

pytestmark = pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning")


class Log:
    """Keeps what is logged."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def info(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    def warning(self, event: str, **fields: object) -> None:
        self.lines.append((event, fields))

    @property
    def events(self) -> list[str]:
        return [event for event, _ in self.lines]

    @property
    def reasons(self) -> list[object]:
        return [fields["reason"] for _, fields in self.lines if "reason" in fields]


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def tcp(port: int, **fields: Any) -> Probe:
    return Probe(**{"kind": "tcp", "host": "127.0.0.1", "port": port, "timeout_s": 1.0, **fields})


def need(*probes: Probe, **fields: Any) -> Need:
    return Need(**{"name": "ldap", "probes": probes, "deadline_s": 10.0, **fields})


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def answers(*outcomes: ProbeError | str) -> Callable[[Probe], str]:
    """A seam's `ask` with these outcomes, the last one again and again."""
    coming = itertools.chain(outcomes, itertools.repeat(outcomes[-1]))

    def ask(_probe: Probe) -> str:
        outcome = next(coming)
        if isinstance(outcome, ProbeError):
            raise outcome
        return outcome

    return ask


REFUSED = ProbeError("tcp", "connection refused")
UNKNOWN = ProbeError("name", "ldap is not known")


def test_a_server_that_is_there_is_not_waited_for() -> None:
    """One try, one line."""
    log = Log()
    with Server(silence) as server:
        wait_for(need(tcp(server.port)), log)
        address = f"tcp://127.0.0.1:{server.port}"
    assert log.lines == [
        (
            "a needed service answered",
            {"need": "ldap", "after_s": 0.0, "server": address, "answer": "accepts connections"},
        )
    ]


def test_a_server_that_comes_later_is_found() -> None:
    """The wait ends soon after the server begins to listen, and tells each reason once."""
    log, port = Log(), closed_port()
    begin = time.monotonic()
    with ExitStack() as servers:
        coming = threading.Timer(0.4, lambda: servers.enter_context(Server(silence, port=port)))
        coming.start()
        wait_for(need(tcp(port)), log)
        coming.join()
    assert 0.4 <= time.monotonic() - begin < 3
    assert log.events == ["waiting for a needed service", "a needed service answered"]


def test_one_line_for_each_change_of_reason() -> None:
    """Many tries with the same reason are one line; the way back to an old reason is a change."""
    log, timing = Log(), Time()
    ask = answers(UNKNOWN, UNKNOWN, REFUSED, REFUSED, REFUSED, UNKNOWN, "fine")
    wait_for(need(tcp(1)), log, ask=ask, clock=timing.clock, sleep=timing.sleep)
    assert log.reasons == [
        "tcp://127.0.0.1:1: name: ldap is not known",
        "tcp://127.0.0.1:1: tcp: connection refused",
        "tcp://127.0.0.1:1: name: ldap is not known",
    ]


def test_pauses_double_up_to_a_limit() -> None:
    """From 0.1 s to 2 s, each shortened by chance by a quarter at most; none exceeds the deadline."""
    timing = Time()
    with pytest.raises(Unavailable):
        wait_for(need(tcp(1)), Log(), ask=answers(REFUSED), clock=timing.clock, sleep=timing.sleep)
    for pause, full in zip(timing.pauses[:-1], [0.1, 0.2, 0.4, 0.8, 1.6, *[2.0] * 20], strict=False):
        assert 0.75 * full <= pause <= full
    assert timing.now == pytest.approx(10.0)


def test_the_deadline_names_what_how_long_and_why() -> None:
    """Nothing listens for the whole time: Unavailable, exit code 69, with the last reason."""
    begin, port = time.monotonic(), closed_port()
    with pytest.raises(Unavailable) as caught:
        wait_for(need(tcp(port), deadline_s=0.5), Log())
    assert 0.5 <= time.monotonic() - begin < 2
    assert (type(caught.value), caught.value.exit_code) == (Unavailable, 69)
    last = f"tcp://127.0.0.1:{port}: tcp: connection refused"
    assert str(caught.value) == f"cannot reach ldap: no good answer within 0.5 s; last: {last}"


def test_a_silent_server_does_not_outlast_the_deadline() -> None:
    """The last try is cut short, but not so short that it is unfair."""
    begin = time.monotonic()
    with Server(silence) as server, pytest.raises(Unavailable, match="no answer within 1 s"):
        wait_for(need(tcp(server.port, kind="smtp", timeout_s=30.0), deadline_s=0.2), Log())
    assert 1 <= time.monotonic() - begin < 3


def test_a_wrong_password_is_refused_at_once(tmp_path: Path) -> None:
    """What waiting cannot cure ends the start with 78, the reason and the cure; nothing secret is in it."""
    (tmp_path / "password").write_bytes(b"hunter2")
    begin, log = time.monotonic(), Log()
    login = {"user": "cn=mail,dc=example,dc=org", "password_file": str(tmp_path / "password")}
    with Server(Directory(password=b"other")) as server, pytest.raises(NeedRefused) as caught:
        wait_for(need(tcp(server.port, kind="ldap", query="dc=example,dc=org", **login)), log)
    assert time.monotonic() - begin < 2
    assert caught.value.exit_code == 78
    text = str(caught.value)
    assert text.startswith(f"cannot use ldap at ldap://127.0.0.1:{server.port}: login: ")
    assert text.endswith("; waiting will not help: check LDAP_USER and LDAP_PASSWORD")
    assert "hunter2" not in text + str(log.lines)


def test_a_server_that_loads_is_waited_for(tmp_path: Path) -> None:
    """What passes is not refused: its twin above differs only in being curable."""
    loading = iter(["-LOADING Redis is loading the dataset in memory"] * 2 + ["+PONG"])

    def load(peer: Any) -> None:
        Redis(answers={"PING": next(loading)})(peer)

    log = Log()
    with Server(load) as server:
        wait_for(need(tcp(server.port, kind="redis")), log)
    assert log.events == ["waiting for a needed service", "a needed service answered"]


def test_one_of_several_servers_is_enough() -> None:
    """The first that answers is used, also when one before it is beyond hope."""
    log = Log()
    with Server(silence) as server:
        hopeless = tcp(closed_port(), host="ü" * 100)
        wait_for(need(hopeless, tcp(closed_port()), tcp(server.port)), log)
    assert log.lines[0][1]["server"] == f"tcp://127.0.0.1:{server.port}"


def test_hope_for_one_of_several_is_hope() -> None:
    """It is only refused at once when every server is beyond hope; the reason names each."""
    hopeless = tcp(1, host="ü" * 100)
    with pytest.raises(Unavailable, match=r"cannot be a host name; tcp://.* connection refused"):
        wait_for(need(hopeless, tcp(closed_port()), deadline_s=0.2), Log())
    with pytest.raises(NeedRefused, match=r"cannot be a host name; tcp://.* cannot be a host name; waiting will not"):
        wait_for(need(hopeless, hopeless, deadline_s=0.2), Log())


@pytest.mark.parametrize("error", [REFUSED, ProbeError("login", "wrong password", curable=False)])
def test_an_optional_service_is_asked_once(error: ProbeError) -> None:
    """Its failure is reported and nothing else, whether waiting could help or not."""
    log, timing = Log(), Time()
    ask = answers(error, "too late")
    wait_for(need(tcp(1), required=False), log, ask=ask, clock=timing.clock, sleep=timing.sleep)
    assert log.lines == [
        ("an optional service does not answer", {"need": "ldap", "reason": f"tcp://127.0.0.1:1: {error}"})
    ]
    assert timing.pauses == []


def test_an_optional_service_that_answers() -> None:
    """That is reported too."""
    log = Log()
    wait_for(need(tcp(1), required=False), log, ask=answers("fine"))
    assert log.events == ["an optional service answered"]


# Signals

WAITER = """
import sys
from entrypoint.plan import Need, Probe
from entrypoint.wait import wait_for

class Log:
    def info(self, event, **fields):
        print(event, fields, flush=True)
    warning = info

probe = Probe(kind=sys.argv[1], host="127.0.0.1", port=int(sys.argv[2]), timeout_s=60)
wait_for(Need(name="ldap", probes=(probe,), deadline_s=60), Log())
"""


@contextmanager
def waiter(kind: str, port: int, *prefix: str) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a server on `port`."""
    command = [*prefix, sys.executable, "-c", WAITER, kind, str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=10)


def read_line(process: subprocess.Popen[str]) -> str:
    """The process's next line; fails after 10 s."""
    assert process.stdout
    assert select.select([process.stdout], [], [], 10)[0], "no line within 10 s"
    return process.stdout.readline()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_pause(number: signal.Signals) -> None:
    """Between two tries: code 0 and a line, within a second."""
    with waiter("tcp", closed_port()) as process:
        assert "connection refused" in read_line(process)
        begin = time.monotonic()
        process.send_signal(number)
        assert process.wait(10) == 0
        assert time.monotonic() - begin < 1
        assert read_line(process) == f"stopped while waiting {{'need': 'ldap', 'signal': '{number.name}'}}\n"


def test_a_signal_ends_a_try() -> None:
    """While a server is silent: code 0, within a second."""
    connected = threading.Event()

    def be_silent(peer: Any) -> None:
        connected.set()
        silence(peer)

    with Server(be_silent) as server, waiter("smtp", server.port) as process:
        assert connected.wait(10)
        begin = time.monotonic()
        process.terminate()
        assert process.wait(10) == 0
        assert time.monotonic() - begin < 1


def test_a_signal_ends_the_wait_of_pid_1() -> None:
    """The first process of a container gets no signal without a handler of its own."""
    unshare = ["unshare", "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no new PID namespace here")
    with waiter("tcp", closed_port(), *unshare) as process:
        assert "connection refused" in read_line(process)
        begin = time.monotonic()
        os.kill(int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()), signal.SIGTERM)
        assert process.wait(10) == 0
        assert time.monotonic() - begin < 1


def test_the_handlers_are_put_back() -> None:
    """After the wait, signals mean what they meant before, also when it failed."""
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        wait_for(need(tcp(1)), Log(), ask=answers("fine"))
        with pytest.raises(Unavailable):
            wait_for(need(tcp(1), deadline_s=0), Log(), ask=answers(REFUSED))
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_server_that_hangs_up_is_waited_for() -> None:
    """A proxy in front of a server that starts accepts and closes: that is no reason to give up."""
    with Server(closes) as server, pytest.raises(Unavailable, match="closed the connection"):
        wait_for(need(tcp(server.port, kind="smtp"), deadline_s=0.2), Log())
