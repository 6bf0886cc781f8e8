"""The daemons' lines on their way through the supervisor, with real processes and pipes."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.supervise import output
from entrypoint.supervise.channels import LINE_LIMIT_BYTES, Lines
from entrypoint.supervise.launch import open_fifo
from entrypoint.supervise.output import Output
from tests.unit.supervised import Supervised, python, sh, until


def said(supervised: Supervised, program: str = "daemon") -> list[str]:
    """What a program has written, in order."""
    return [line["event"] for line in supervised.log() if line["program"] == program]


def test_lines_from_both_outputs_arrive_under_the_name_of_the_program(tmp_path: Path) -> None:
    """Standard output and standard error are both read."""
    with Supervised(tmp_path, sh("echo out; echo err >&2; exec sleep 99")) as supervised:
        until(lambda: sorted(said(supervised)) == ["err", "out"])
        assert supervised.logged("out", service="test", level="info")


def test_partial_lines_are_joined_and_the_last_needs_no_end(tmp_path: Path) -> None:
    """A line written in two pieces is one; what a dead daemon wrote last is not lost."""
    with Supervised(
        tmp_path, sh("printf 'one '; sleep 0.2; printf 'two\\nlast'; exit 3"), deaths_limit=1
    ) as supervised:
        assert supervised.exit_code() == 3
        assert said(supervised) == ["one two", "last"]


def test_overlong_lines_are_cut_and_marked(tmp_path: Path) -> None:
    """A line over the limit keeps its beginning, says how much is missing, and the next is whole."""
    script = f"print('x' * {LINE_LIMIT_BYTES + 100}); print('y' * {LINE_LIMIT_BYTES}); print('end')"
    with Supervised(tmp_path, python(script), deaths_limit=1) as supervised:
        supervised.exit_code()
        first, second, last = (line for line in supervised.log() if line["program"] == "daemon")
    assert (len(first["event"]), first["cut_bytes"]) == (LINE_LIMIT_BYTES, 100)
    assert (len(second["event"]), second.get("cut_bytes")) == (LINE_LIMIT_BYTES, None)
    assert last["event"] == "end"


def test_bytes_that_are_no_utf8_are_shown(tmp_path: Path) -> None:
    """They are written as backslash escapes, and lose nothing else of the line."""
    with Supervised(tmp_path, sh("printf 'caf\\303\\251 \\377 end\\n'; exec sleep 99")) as supervised:
        supervised.wait_for("café \\xff end")


@given(st.lists(st.binary(max_size=50).map(lambda b: b.replace(b"\n", b"")), max_size=10), st.data())
def test_lines_are_the_same_however_they_are_cut_into_pieces(lines: list[bytes], data: st.DataObject) -> None:
    """Whatever the pieces are that a pipe delivers, the lines come out as they went in."""
    taken: list[str] = []
    reader = Lines(lambda line, _cut: taken.append(line))
    rest = b"".join(line + b"\n" for line in lines)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        reader.feed(rest[:size])
        rest = rest[size:]
    assert taken == [line.decode("utf-8", "backslashreplace") for line in lines if line]


def test_one_line_that_cannot_be_logged_does_not_take_the_others_along() -> None:
    """An exception for one line leaves the rest of what was read."""
    taken: list[str] = []

    def take(line: str, _cut: int) -> None:
        taken.append(str(1 // (line != "bad")) and line)

    Lines(take).feed(b"one\nbad\ntwo\n")
    assert taken == ["one", "two"]


def test_what_is_written_to_a_fifo_arrives_with_its_own_parser(tmp_path: Path) -> None:
    """A FIFO is there before the daemon, private, can be opened again and again, and is parsed."""
    fifo = tmp_path / "spool" / "log" / "mainlog"
    line = "2026-11-22 19:43:02 1vMxyz-00000000001-abcd Completed"
    with Supervised(tmp_path, sh("echo plain; exec sleep 99", pipes={str(fifo): "exim-main"})) as supervised:
        supervised.wait_for("plain")
        for times in (1, 2, 3):
            fifo.write_text(line + "\n")
            supervised.wait_for(line[20:], times=times, program="daemon", status="completed")
        assert stat.S_ISFIFO(fifo.stat().st_mode)
        assert fifo.stat().st_mode & 0o777 == 0o600


def test_what_is_in_a_fifo_at_the_end_is_still_read(tmp_path: Path) -> None:
    """The last line of a daemon that stops is logged, and that of what it leaves behind."""
    fifo = tmp_path / "mainlog"
    script = "trap 'echo goodbye from {who} > {fifo}; exit 0' TERM; echo {who} ready; while :; do sleep 0.01; done"
    inner, outer = (script.format(who=who, fifo=fifo) for who in ("child", "daemon"))
    (tmp_path / "inner").write_text(inner)
    with Supervised(tmp_path, sh(f"setsid sh {tmp_path}/inner & {outer}", pipes={str(fifo): "raw"})) as supervised:
        supervised.wait_for("child ready")
        supervised.wait_for("daemon ready")
        supervised.end()
        assert supervised.logged("goodbye from daemon")
        assert supervised.logged("goodbye from child")


def test_fifos_are_reused_and_other_files_replaced(tmp_path: Path) -> None:
    """What a FIFO holds survives; a file or link in its place does not; a folder is an error."""
    old, file, link = tmp_path / "old", tmp_path / "file", tmp_path / "link"
    os.mkfifo(old)
    inode = old.stat().st_ino
    file.write_text("stale")
    link.symlink_to("/dev/null")
    for path in (old, file, link):
        os.close(open_fifo(str(path)))
        assert stat.S_ISFIFO(path.lstat().st_mode)
    assert old.stat().st_ino == inode
    with pytest.raises(IsADirectoryError):
        open_fifo(str(tmp_path))


@contextmanager
def pipe(size: int = 4096) -> Iterator[tuple[int, int]]:
    """A small pipe; closed at the end as far as it is not."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, size)
    try:
        yield reading, writing
    finally:
        for descriptor in (reading, writing):
            try:
                os.close(descriptor)
            except OSError:
                continue


def read_lines(descriptor: int) -> list[dict[str, Any]]:
    """All there is until the end of the file, as json lines."""
    with os.fdopen(os.dup(descriptor), "rb") as file:
        return [json.loads(line) for line in file.read().splitlines() if line.startswith(b"{") and line.endswith(b"}")]


def flood(done: Path) -> str:
    """A program that writes 10 MB in 100,000 lines, and then a file to say so."""
    lines = "import sys; sys.stdout.writelines('x' * 99 + '\\n' for n in range(100_000)); sys.stdout.flush()"
    return f"{lines}\nopen({str(done)!r}, 'w')\nimport signal; signal.pause()"


def test_an_unread_stderr_holds_up_neither_daemon_nor_stop(tmp_path: Path) -> None:
    """A daemon that writes more than anybody reads goes on, and SIGTERM acts at once."""
    with pipe() as (_, writing), Supervised(tmp_path, python(flood(tmp_path / "done")), stderr=writing) as supervised:
        until((tmp_path / "done").exists)
        code, took_s = supervised.end()
    assert code == 0
    assert took_s < 2


def test_what_was_dropped_is_counted_when_stderr_is_read_again(tmp_path: Path) -> None:
    """Every line is either there or in the count."""
    with (
        pipe() as (reading, writing),
        Supervised(tmp_path, python(flood(tmp_path / "done")), stderr=writing) as supervised,
    ):
        until((tmp_path / "done").exists)
        os.close(writing)
        supervised.send(signal.SIGTERM)
        lines = read_lines(reading)
        assert supervised.exit_code() == 0
    seen = sum(line["program"] == "daemon" for line in lines)
    dropped = sum(line["count"] for line in lines if line["event"].startswith("log lines dropped"))
    assert dropped > 0
    assert 100_000 - 10 <= seen + dropped <= 100_000 + 10  # our own lines may be among the dropped


def test_a_slow_reader_loses_nothing(tmp_path: Path) -> None:
    """When somebody reads, but slower than the daemon writes, the daemon waits and no line is dropped."""
    script = "line = 'x' * 1000\nfor n in range(4000): print(n, line)\nprint('end')\nimport signal; signal.pause()"
    with pipe() as (reading, writing), Supervised(tmp_path, python(script), stderr=writing) as supervised:
        os.close(writing)
        data = b""
        while b'"end"' not in data:
            piece = os.read(reading, 65536)
            assert piece, "supervisor has ended"
            data += piece
            time.sleep(0.0001)
        assert supervised.end()[0] == 0
    numbers = [json.loads(line)["event"].split()[0] for line in data.splitlines() if b"xxx" in line]
    assert numbers == [str(n) for n in range(4000)]


def test_without_a_reader_it_goes_on(tmp_path: Path) -> None:
    """A stderr whose other end is closed ends neither the daemon nor the supervisor, nor keeps it busy."""
    with (
        pipe() as (reading, writing),
        Supervised(tmp_path, sh("while :; do echo x; sleep 0.01; done"), stderr=writing) as supervised,
    ):
        supervised.wait_until("running")
        os.close(reading)
        os.close(writing)
        time.sleep(0.5)
        before = _cpu_ticks(supervised.process.pid)
        time.sleep(1)
        assert _cpu_ticks(supervised.process.pid) - before < 50
        assert supervised.end()[0] == 0


def _cpu_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def test_stderr_stays_blocking_for_those_who_share_it() -> None:
    """The open file that others have as well is as it was, also while we use it."""
    with pipe() as (reading, writing):
        ours = Output(writing)
        assert os.get_blocking(writing)
        assert not os.get_blocking(ours.fd)
        ours.write("hello\n")
        ours.close(1)
        assert os.read(reading, 99) == b"hello\n"


def test_where_stderr_cannot_be_opened_anew_it_is_restored() -> None:
    """A socket, say, is set back to blocking at the end."""
    ours_end, other_end = socket.socketpair()
    with ours_end, other_end:
        ours = Output(ours_end.fileno())
        assert not os.get_blocking(ours_end.fileno())
        ours.close(1)
        assert os.get_blocking(ours_end.fileno())


def test_output_keeps_the_order_and_counts_what_it_drops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit lines are dropped, those kept come out whole and in order."""
    monkeypatch.setattr(output, "LIMIT_BYTES", 10_000)
    monkeypatch.setattr(output, "HIGH_WATER_BYTES", 5_000)
    with pipe() as (reading, writing):
        ours = Output(writing)
        for number in range(10_000):
            ours.write(f"{number}\n")
        ours.close(0.2)
        *kept, _partial = os.read(reading, 65536).decode().split("\n")
    assert len(kept) > 500
    assert kept == [str(number) for number in range(len(kept))]


def test_when_the_reader_goes_away_every_line_is_read_or_counted() -> None:
    """Also those that had been taken together to be written."""
    with pipe() as (reading, writing):
        ours = Output(writing)
        for number in range(30_000):
            ours.write(f"{number}\n")
        ours.handle_write_event()  # a pipe holds 64 KiB
        ours.handle_write_event()
        seen = os.read(reading, 1 << 20).count(b"\n")
        os.close(reading)
        while ours.writable():
            ours.handle_write_event()
    assert seen > 1000
    assert seen + ours.dropped_lines == 30_000


def test_closing_does_not_wait_for_a_reader_that_does_not_read() -> None:
    """The end comes within its time limit."""
    with pipe() as (_, writing):
        ours = Output(writing)
        for _number in range(100):
            ours.write("x" * 1000 + "\n")
        began = time.monotonic()
        ours.close(0.3)
        assert 0.2 < time.monotonic() - began < 1
