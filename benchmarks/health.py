"""What a health check costs: CPU time of the whole process, as each container pays it every ten seconds.

Ours looks at a real supervisor's report of a real process; --ready also asks two SMTP ports (as in the Exims), or IMAP
in the clear and in TLS with a certificate verified (as in imap), here of a small server in this process. Beside it what
is used elsewhere: `supervisorctl status`, which asks a supervisord about one program; curl, which asks one HTTP port
in the clear; and the interpreter that does nothing.
"""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.compare import Comparison, Say, in_turn
from benchmarks.start import cpu_ms
from entrypoint.plan import Plan, Probe, Program, write_plan
from entrypoint.supervise.become import command
from tools.commands import ROOT
from tools.console import ToolError
from tools.demo.keys import make_authority, make_certificate

HOST = "127.0.0.1"
PATIENCE_S = 30.0
SMTP = {"": "220 mail ESMTP", "EHLO": "250-mail\r\n250 STARTTLS", "QUIT": "221 bye"}
IMAP = {
    "": "* OK [CAPABILITY IMAP4rev1 STARTTLS] ready",
    "a CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS AUTH=PLAIN\r\na OK done",
    "a LOGOUT": "* BYE\r\na OK done",
}
HTTP = {"": "", "GET": "HTTP/1.0 200 OK\r\nContent-Length: 4\r\n\r\npong"}
# The way that images go to it (images/base/entrypoint).
OURS = """import sys; sys.path.append(sys.argv[1])
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
user = root
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/stock.pid

[supervisorctl]
serverurl = unix://{folder}/stock.sock

[program:daemon]
command = sleep 1000
"""


def measure(runs: int, say: Say) -> list[Comparison]:
    """Each of our checks beside each reference."""
    with TemporaryDirectory() as name, _world(Path(name)) as (ours, references):
        times = in_turn({what: partial(cpu_ms, line) for what, line in (ours | references).items()}, runs, say)
    return [
        Comparison(
            suite="health",
            measure=f"CPU of {what}",
            unit="ms",
            reference_name=reference,
            ours=times[what],
            reference=times[reference],
        )
        for what in ours
        for reference in references
    ]


@contextmanager
def _world(folder: Path) -> Iterator[tuple[dict[str, list[str]], dict[str, list[str]]]]:
    """Supervisors and servers that run, and the commands that ask them: ours, and the references."""
    make_authority(folder, "Benchmark CA")
    make_certificate(folder, [f"IP:{HOST}"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem", folder / "server.key")
    (folder / "stock.ini").write_text(STOCK_INI.format(folder=folder))
    supervisord = str(Path(sys.executable).with_name("supervisord"))
    with (
        _serving(SMTP) as smtp,
        _serving(IMAP) as imap,
        _serving(IMAP, context) as imaps,
        _serving(HTTP) as http,
        _running([supervisord, "-n", "-c", f"{folder}/stock.ini"], folder / "stock.sock"),
        _container(folder / "smtp", [_probe("smtp", smtp), _probe("smtp", smtp)]) as with_smtp,
        _container(folder / "imap", [_probe("imap", imap), _tls(folder, imaps)]) as with_imap,
    ):
        health = [sys.executable, "-IS", "-c", OURS, str(ROOT)]
        ours = {
            "health --live": [*health, str(with_smtp), "--live"],
            "health --ready, SMTP twice": [*health, str(with_smtp), "--ready"],
            "health --ready, IMAP and IMAPS": [*health, str(with_imap), "--ready"],
        }
        stock = [supervisord.replace("supervisord", "supervisorctl"), "-c", f"{folder}/stock.ini", "status"]
        curl = ["/usr/bin/curl", "--silent", "--fail", f"http://{HOST}:{http}/ping"]
        yield ours, {"python -c pass": [sys.executable, "-c", "pass"], "supervisorctl status": stock, "curl": curl}


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
def _running(line: list[str], sign: Path) -> Iterator[None]:
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
