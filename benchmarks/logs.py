"""How many lines of a daemon one CPU takes from the pipe to the text that goes out, as json and for people.

They come out of a real pipe, through the supervisor's own channel, and go to its own output. The lines are real ones.
Beside a parser stands `raw`, which reads nothing out of a line: the ratio is the price of the fields. Beside raw, the
few lines that any script has for it: read a line, write it out as json.

Memory is what a million lines add, after the first hundred thousand.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import psutil

from benchmarks.compare import Row, Say, Table, in_turn
from entrypoint.logs import Logs, configure, log_line
from entrypoint.supervise.channels import Channel
from entrypoint.supervise.output import Output
from tools.commands import ROOT

PIPE_BYTES = 64 * 1024

LINES_A_RUN = 4000
LINES_FOR_MEMORY = 1_000_000
WARM_UP_LINES = 100_000
FORMATS = ("json", "console")
DAEMONS = ("exim-main", "dovecot", "rspamd")
FIELDS, RAW, PLAIN = "fields read", "raw", "script: read, json.dumps, write"
# Of each daemon's real lines, those about what happens all the time.
USUAL = {
    "exim-main": re.compile(r" (?:<=|=>|->) | Completed| rejected | authenticator failed "),
    "dovecot": re.compile(r"Logged in|Disconnected|stored mail|Login aborted"),
    "rspamd": re.compile("rspamd_task_write_log"),
}


def samples(daemon: str) -> list[str]:
    """What a message, a login or a scan leaves in the log, as the daemon really wrote it."""
    path = ROOT / "tests" / "unit" / "golden" / f"{daemon}.jsonl"
    lines = [json.loads(line).get("line", "") for line in path.read_text().splitlines()]
    return [line for line in lines if USUAL[daemon].search(line)]


def measure(runs: int, say: Say) -> Table:
    """Lines per second of CPU, for each daemon in each format, and memory."""
    kinds = [(log_format, daemon, parser) for log_format in FORMATS for daemon in DAEMONS for parser in (daemon, "raw")]
    kinds += [("", daemon, "plain") for daemon in DAEMONS]
    rates = in_turn({kind: partial(lines_per_s, *kind) for kind in kinds}, runs, say)
    rows = [
        Row(
            measure=f"{daemon}, {log_format}",
            unit="lines/s",
            values={
                FIELDS: rates[log_format, daemon, daemon],
                RAW: rates[log_format, daemon, "raw"],
                PLAIN: rates["", daemon, "plain"],
            },
        )
        for log_format in FORMATS
        for daemon in DAEMONS
    ]
    say(f"memory over {LINES_FOR_MEMORY:,} lines")
    what = f"memory that {LINES_FOR_MEMORY:,} lines add"
    return Table(
        suite="logs",
        columns=(FIELDS, RAW, PLAIN),
        rows=[*rows, Row(measure=what, unit="MiB", values={FIELDS: [added_mib()]})],
    )


def lines_per_s(log_format: str, daemon: str, parser: str) -> float:
    """Let a daemon's lines run through, and divide by what that cost."""
    data = repeated(samples(daemon), LINES_A_RUN)
    with configured(log_format) as logs:
        through = _plainly if parser == "plain" else partial(_through, logs, daemon, parser)
        began = time.process_time()
        through(data)
        return LINES_A_RUN / (time.process_time() - began)


def added_mib() -> float:
    """By how much the process grows after its first lines, all daemons' lines read, as json."""
    lines = [line for daemon in DAEMONS for line in samples(daemon)]
    piece = repeated(lines, LINES_A_RUN)
    with configured("json") as logs:
        for _ in range(WARM_UP_LINES // LINES_A_RUN):
            _through(logs, "exim", "exim-main", piece)
        before = _resident_mib()
        for _ in range(LINES_FOR_MEMORY // LINES_A_RUN):
            _through(logs, "exim", "exim-main", piece)
        return _resident_mib() - before


@contextmanager
def configured(log_format: str) -> Iterator[tuple[Logs, Output]]:
    """Logging as the supervisor sets it up, to nowhere."""
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        output = Output(nowhere.fileno())
        yield configure(log_format or "json", "debug", output, service="bench"), output
        output.close(0)
        os.close(output.fd)


def _through(logs: tuple[Logs, Output], daemon: str, parser: str, data: bytes) -> None:
    """The way of a daemon's output: pipe, channel, parser, renderer, output."""
    ours, output = logs
    reading, writing = os.pipe()
    channel = Channel(reading, log_line(ours, daemon, parser), output.congested)
    for begin in range(0, len(data), PIPE_BYTES):
        os.write(writing, data[begin : begin + PIPE_BYTES])
        channel.handle_read_event()
        while output.writable():
            output.handle_write_event()
    os.close(writing)
    channel.drain()
    os.close(reading)


def _plainly(data: bytes) -> None:
    """What a script without parsers would do."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as lines, Path(os.devnull).open("w", encoding="utf-8") as out:
        for begin in range(0, len(data), PIPE_BYTES):
            piece = data[begin : begin + PIPE_BYTES]
            os.write(writing, piece)
            for line in os.read(lines.fileno(), PIPE_BYTES).splitlines():
                event = {"time": time.time(), "service": "bench", "event": line.decode("utf-8", "replace")}
                out.write(json.dumps(event) + "\n")
    os.close(writing)


def _resident_mib() -> float:
    return float(psutil.Process().memory_info().rss) / 1024**2


def repeated(lines: Sequence[str], count: int) -> bytes:
    """So many lines, as they come out of a pipe."""
    return "".join(f"{lines[n % len(lines)]}\n" for n in range(count)).encode()
