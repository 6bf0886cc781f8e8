"""What a health check costs: CPU time of the whole process, as each container pays it every ten seconds.

Ours looks at a real supervisor's report of a real process; --ready also asks two SMTP ports (as in the Exims), or IMAP
in the clear and in TLS with a certificate verified (as in imap), here of a small server in this process. Beside it what
is used elsewhere: `supervisorctl status` and `s6-svstat`, which ask about one program; curl, which asks one HTTP port
in the clear, as a container without a supervisor has it; and the interpreter that does nothing.
"""

from __future__ import annotations

import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.compare import Row, Say, in_turn
from benchmarks.contenders import NONE, OURS, S6, STOCK, has_s6, s6
from benchmarks.processes import cpu_ms
from entrypoint.plan import Plan, Probe, Program, write_plan
from entrypoint.supervise.become import command
from tools.commands import ROOT
from tools.console import ToolError
from tools.demo.keys import make_authority, make_certificate

HOST = "127.0.0.1"
PATIENCE_S = 30.0
ALIVE, READY, READY_TLS = "health: alive, CPU", "health: ready, CPU", "health: ready (TLS), CPU"
BARE = "python -c pass, CPU"
SMTP = {"": "220 mail ESMTP", "EHLO": "250-mail\r\n250 STARTTLS", "QUIT": "221 bye"}
IMAP = {
    "": "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready",
    "a CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\na OK done",
    "a LOGOUT": "* BYE\r\na OK done",
}
HTTP = {"": "", "GET": "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npong"}
# The way that images go to it (images/base/entrypoint).
OURS_HEALTH = """import sys; sys.path.append(sys.argv[1])
from entrypoint.health import main
sys.exit(main(sys.argv[3:], sys.argv[2]))
"""
STOCK_INI = """\
[unix_http_server]
file = {folder}/stock.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
nodaemon = true
user = {user}
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/stock.pid

[supervisorctl]
serverurl = unix://{folder}/stock.sock

[program:daemon]
command = sleep 1000
"""


def measure(runs: int, say: Say) -> list[Row]:
    """Each of our checks, and what there is elsewhere to ask."""
    with TemporaryDirectory() as name, _world(Path(name)) as commands:
        times = in_turn({key: partial(cpu_ms, line) for key, line in commands.items()}, runs, say)
    rows = dict.fromkeys(what for what, _ in commands)  # in their order
    return [
        Row(measure=what, unit="ms", values={who: found for (its, who), found in times.items() if its == what})
        for what in rows
    ]


@contextmanager
def _world(folder: Path) -> Iterator[dict[tuple[str, str], list[str]]]:
    """Supervisors and servers that run, and the commands that ask them, by row and column."""
    make_authority(folder, "Benchmark CA")
    make_certificate(folder, [f"IP:{HOST}"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    (folder / "stock.ini").write_text(STOCK_INI.format(folder=folder, user=os.getuid()))
    (folder / "daemon").write_text("exec sleep 1000\n")
    supervisord = str(Path(sys.executable).with_name("supervisord"))
    with (
        _serving(SMTP) as smtp,
        _serving(IMAP) as imap,
        _serving(IMAP, context) as imaps,
        _serving(HTTP) as http,
        _running([supervisord, "-n", "-c", f"{folder}/stock.ini"], folder / "stock.sock"),
        _container(folder / "smtp", [_probe("smtp", smtp), _probe("smtp", smtp)]) as with_smtp,
        _container(folder / "imap", [_probe("imap", imap), _tls(folder, imaps)]) as with_imap,
        ExitStack() as stack,
    ):
        health = [sys.executable, "-IS", "-c", OURS_HEALTH, str(ROOT)]
        stock = [supervisord.replace("supervisord", "supervisorctl"), "-c", f"{folder}/stock.ini", "status"]
        commands = {
            (ALIVE, OURS): [*health, str(with_smtp), "--live"],
            (ALIVE, STOCK): stock,
            (READY, OURS): [*health, str(with_smtp), "--ready"],
            (READY_TLS, OURS): [*health, str(with_imap), "--ready"],
            (BARE, NONE): [sys.executable, "-c", "pass"],
        }
        if has_s6():
            stack.enter_context(
                _running(s6(folder, folder / "daemon"), folder / "s6" / "daemon" / "supervise" / "status")
            )
            commands[ALIVE, S6] = [_found("s6-svstat"), str(folder / "s6" / "daemon")]
        if curl := shutil.which("curl"):
            commands[READY, NONE] = [curl, "--silent", "--fail", f"http://{HOST}:{http}/ping"]
        yield commands


def _found(program: str) -> str:
    return shutil.which(program) or program


def _probe(kind: str, port: int) -> Probe:
    return Probe(kind=kind, host=HOST, port=port, expect="STARTTLS")


def _tls(folder: Path, port: int) -> Probe:
    ca = str(folder / "ca.pem")
    return Probe(kind="imap", host=HOST, port=port, tls="tls", ca_file=ca, expect="AUTH=PLAIN")


@contextmanager
def _container(folder: Path, probes: list[Probe]) -> Iterator[Path]:
    """A supervisor with one program; the folder of its files."""
    folder.mkdir()
    program = Program(name="daemon", argv=("sleep", "1000"), env={"PATH": os.environ["PATH"]})
    write_plan(Plan(service="bench", version="1", programs=(program,), probes=tuple(probes)), folder / "plan.json")
    with _running(command(folder / "plan.json"), folder / "state.json"):
        yield folder


@contextmanager
def _running(line: Sequence[str], sign: Path) -> Iterator[None]:
    """A supervisor, from the time when `sign` is there until the end of the block."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(line, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            _wait_for(sign)
            yield
        finally:
            process.terminate()


def _wait_for(sign: Path) -> None:
    end = time.monotonic() + PATIENCE_S
    while not sign.exists():
        if time.monotonic() > end:
            raise ToolError(f"cannot measure: {sign} was not there within {PATIENCE_S:g} s")
        time.sleep(0.05)


@contextmanager
def _serving(replies: Mapping[str, str], context: ssl.SSLContext | None = None) -> Iterator[int]:
    """A server of a protocol of lines, in a thread; its port."""
    listener = socket.create_server((HOST, 0))
    thread = threading.Thread(target=_serve, args=(listener, _talk(replies, context)), daemon=True)
    thread.start()
    try:
        yield int(listener.getsockname()[1])
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)
        listener.close()


def _serve(listener: socket.socket, talk: Callable[[socket.socket], None]) -> None:
    with suppress(OSError):  # the listener is shut down
        while True:
            client, _ = listener.accept()
            with suppress(OSError), client:
                talk(client)


def _talk(replies: Mapping[str, str], context: ssl.SSLContext | None) -> Callable[[socket.socket], None]:
    def talk(plain: socket.socket) -> None:
        client = context.wrap_socket(plain, server_side=True) if context else plain
        with client, client.makefile("rwb") as stream:
            _say(stream.write, replies[""])
            stream.flush()
            for line in stream:
                word = next((key for key in replies if key and line.decode().startswith(key)), "")
                if word:
                    _say(stream.write, replies[word])
                    stream.flush()
                    if word in ("GET", "QUIT", "a LOGOUT"):
                        return

    return talk


def _say(write: Callable[[bytes], object], text: str) -> None:
    if text:
        write(f"{text}\r\n".encode())
