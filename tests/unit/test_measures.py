"""Measures: the figures of real folders and servers, and from where on they are worth a word."""

from __future__ import annotations

import os
import string
import time
from pathlib import Path
from typing import Any

import pytest

from entrypoint import measures
from entrypoint.measures import DAY_S, GIB, MIB, Value, arrival, take
from entrypoint.plan import Measure, Probe
from tests.unit.servers import Lines, Redis, Server, closes

DIGITS = string.digits + string.ascii_uppercase + string.ascii_lowercase
SMTP = Lines("220 mail\r\n", {"EHLO": "250 ok\r\n", "QUIT": "221 bye\r\n"})


def taken(kind: str, where: object = "", **fields: Any) -> dict[str, Value]:
    """The figures of one measure, by name."""
    return {value.name: value for value in take(Measure(kind=kind, where=str(where), **fields))}


# The queue


def exim_id(arrived: float, number: int = 0) -> str:
    """An id as Exim 4.98 makes it."""
    seconds, name = int(arrived), ""
    while len(name) < 6:
        seconds, digit = divmod(seconds, 62)
        name = DIGITS[digit] + name
    return f"{name}-{number:011d}-{'0000'}"


def queue(spool: Path, age_s: float, *, number: int = 0, frozen: bool = False, part: str = "") -> Path:
    """A message in the spool, with the files that Exim makes."""
    name, folder = exim_id(time.time() - age_s, number), spool / "input" / part
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{name}-H", "Debian-exim 5025 5025", "<a@example.org>", "1795376612 0", "-received_time_usec .1"]
    lines += ["-frozen 1795376612"] if frozen else []
    (folder / f"{name}-D").write_text(f"{name}-D\nText\n-frozen 1\n")
    (folder / f"{name}-H").write_text("\n".join([*lines, "XX", "1", "b@example.org", "", "030I Subject: x", ""]))
    return folder / f"{name}-H"


def test_the_time_in_a_message_id() -> None:
    """The one that Exim gave to a message of a known time, and there and back."""
    assert time.strftime("%Y-%m-%d %H:%M", time.gmtime(arrival("1xVESy-0000000001M-2itd"))) == "2026-11-22 20:47"
    assert arrival(exim_id(1_795_376_612)) == 1_795_376_612


def test_an_empty_queue(tmp_path: Path) -> None:
    """Before the first message there is not even a folder."""
    found = taken("queue", tmp_path)
    assert {name: value.value for name, value in found.items()} == {
        "queue_messages": 0,
        "queue_frozen": 0,
        "queue_oldest_seconds": 0,
    }
    assert not any(value.warning or value.problem for value in found.values())


def test_a_queue(tmp_path: Path) -> None:
    """Messages are counted once each, in split spools too; the oldest that is not frozen tells how late mail is."""
    queue(tmp_path, 1800)
    queue(tmp_path, 60, number=1, part="x")
    queue(tmp_path, 90_000, number=2, frozen=True)
    (tmp_path / "input" / "hdr.1xVESy").touch()  # of a write that goes on
    found = taken("queue", tmp_path)
    assert found["queue_messages"].value == 3
    assert found["queue_messages"].labels == {"folder": str(tmp_path)}
    assert found["queue_frozen"].value == 1
    assert found["queue_oldest_seconds"].value == pytest.approx(1800, abs=5)
    assert not found["queue_oldest_seconds"].warning


def test_a_message_that_waits_too_long(tmp_path: Path) -> None:
    """It is told for how long; another limit may hold."""
    queue(tmp_path, 3 * 3600)
    found = taken("queue", tmp_path)["queue_oldest_seconds"]
    assert (found.warning, found.problem) == (f"a message has been in the queue for 3 hours ({tmp_path})", "")
    assert not taken("queue", tmp_path, late_s=DAY_S)["queue_oldest_seconds"].warning


def test_a_message_that_is_delivered_while_it_is_looked_at(tmp_path: Path) -> None:
    """Its file may be gone between the list and the look."""
    path = queue(tmp_path, 60)
    path.unlink()
    path.symlink_to(tmp_path / "gone")
    assert taken("queue", tmp_path)["queue_frozen"].value == 0


def test_a_long_queue_is_counted_quickly(tmp_path: Path) -> None:
    """20,000 messages, in CPU time that a job may take every half minute, also for ten times as many."""
    folder, now = tmp_path / "input", time.time()
    folder.mkdir()
    for number in range(20_000):
        for kind in "HD":
            os.close(os.open(folder / f"{exim_id(now - number % 3000, number)}-{kind}", os.O_CREAT | os.O_WRONLY))
    begin = time.process_time()
    found = taken("queue", tmp_path)
    assert time.process_time() - begin < 0.3
    assert found["queue_messages"].value == 20_000
    assert found["queue_messages"].warning == f"20000 messages in the queue ({tmp_path})"
    assert found["queue_oldest_seconds"].value == pytest.approx(3000, abs=120)


# Room


def disk(monkeypatch: pytest.MonkeyPatch, total: float, free: float, files: int = 1000, free_files: int = 1000) -> None:
    """A file system of this size."""
    sizes = (4096, 4096, int(total // 4096), int(free // 4096), int(free // 4096), files, free_files, free_files)
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result((*sizes, 0, 255)))


def test_room_of_a_real_folder(tmp_path: Path) -> None:
    """The figures are those of the file system."""
    found, real = taken("room", tmp_path), os.statvfs(tmp_path)
    assert found["room_free_bytes"].value == pytest.approx(real.f_bavail * real.f_frsize, rel=0.1)
    assert 0 <= found["room_free_ratio"].value <= 1


@pytest.mark.parametrize(
    ("total", "free", "what"),
    [
        (100 * GIB, 50 * GIB, ""),
        (100 * GIB, 9 * GIB, "warning"),
        (100 * GIB, 4 * GIB, "problem"),
        (1 * GIB, 150 * MIB, "warning"),
        (1 * GIB, 99 * MIB, "problem"),
        (10_000 * GIB, 30 * GIB, ""),  # a third of a percent, but many hours
        (10_000 * GIB, 19 * GIB, "warning"),
        (10_000 * GIB, 4 * GIB, "problem"),
    ],
)
def test_limits_of_room(monkeypatch: pytest.MonkeyPatch, total: float, free: float, what: str) -> None:
    """By share and by size: a twentieth of a large disk is plenty, a tenth of a small one is not."""
    disk(monkeypatch, total, free)
    found = taken("room", "/x")["room_free_bytes"]
    assert (bool(found.warning), bool(found.problem)) == (what == "warning", what == "problem")


def test_files_run_out_before_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message in a maildir is a file; file systems without a limit have no such figure."""
    for left, what in ((500, ""), (50, "warning"), (10, "problem")):
        disk(monkeypatch, 100 * GIB, 50 * GIB, 1000, left)
        found = taken("room", "/x")["room_free_inodes_ratio"]
        assert (bool(found.warning), bool(found.problem)) == (what == "warning", what == "problem")
    disk(monkeypatch, 100 * GIB, 50 * GIB, 0, 0)
    assert "room_free_inodes_ratio" not in taken("room", "/x")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """That is a problem with a number, for metrics, and words."""
    (found,) = take(Measure(kind="room", where=str(tmp_path / "none")))
    assert (found.name, found.value) == ("measure_failed", 1)
    assert found.problem == f"cannot measure room of {tmp_path}/none: No such file or directory"


# Redis


@pytest.mark.parametrize(
    ("used", "limit", "what"),
    [(10 * MIB, 0, ""), (10 * MIB, 100 * MIB, ""), (95 * MIB, 100 * MIB, "warning"), (101 * MIB, 100 * MIB, "problem")],
)
def test_redis_memory(used: int, limit: int, what: str, tmp_path: Path) -> None:
    """Against its limit, after a login; without a limit there is nothing to be near."""
    text = f"# Memory\r\nused_memory:{used}\r\nused_memory_human:x\r\nmaxmemory:{limit}\r\n"
    (tmp_path / "password").write_text("secret")
    with Server(Redis(b"secret", {"INFO": f"${len(text)}\r\n{text}"})) as server:
        probe = Probe(kind="redis", host="127.0.0.1", port=server.port, password_file=str(tmp_path / "password"))
        found = taken("redis-memory", probe=probe)
    assert (found["redis_memory_bytes"].value, found["redis_memory_limit_bytes"].value) == (used, limit)
    value = found["redis_memory_bytes"]
    assert (bool(value.warning), bool(value.problem)) == (what == "warning", what == "problem")


@pytest.mark.parametrize("answer", ["-ERR unknown command", "$2\r\nx:"])
def test_a_redis_that_does_not_tell(answer: str) -> None:
    """Another answer is a problem that names the server."""
    with Server(Redis(answers={"INFO": answer})) as server:
        found = taken("redis-memory", probe=Probe(kind="redis", host="127.0.0.1", port=server.port))
    assert found["measure_failed"].problem.startswith(f"cannot measure redis-memory of redis://127.0.0.1:{server.port}")


# A round trip


def test_a_round_trip() -> None:
    """The time that a good answer took; another is a problem."""
    with Server(SMTP) as server:
        found = taken("round-trip", probe=Probe(kind="smtp", host="127.0.0.1", port=server.port))
    assert 0 < found["round_trip_seconds"].value < 5
    with Server(closes) as server:
        found = taken("round-trip", probe=Probe(kind="smtp", host="127.0.0.1", port=server.port))
    assert "closed the connection" in found["measure_failed"].problem
    assert "whom to ask" in taken("round-trip")["measure_failed"].problem


# Signatures


@pytest.mark.parametrize(("days", "what"), [(0.5, ""), (3, "warning"), (8, "problem")])
def test_signatures(tmp_path: Path, days: float, what: str) -> None:
    """By the newest daily database, whether freshclam got it whole (cvd) or in parts (cld), and whenever it did."""
    for name, age_s in (("main.cvd", 0), ("daily.cvd", 300 * DAY_S), ("daily.cld", days * DAY_S)):
        write_database(tmp_path / name, time.time() - age_s)
    found = taken("signatures", tmp_path)["signatures_age_seconds"]
    assert found.value == pytest.approx(days * DAY_S, abs=60)
    assert (bool(found.warning), bool(found.problem)) == (what == "warning", what == "problem")


def write_database(path: Path, made: float) -> None:
    """Nothing but the header, in the form that sigtool 1.4.6 gives it."""
    when = time.strftime("%d %b %Y %H-%M +0000", time.gmtime(made))
    path.write_bytes(f"ClamAV-VDB:{when}:27000:1:90:{'0' * 32}:x:postern:{made:.0f}".encode().ljust(512, b" "))


@pytest.mark.parametrize("damage", [b"", b"<html>", b"ClamAV-VDB:", b"ClamAV-VDB:yesterday:1", b"ClamAV-VDB:\xff:1"])
def test_damaged_signatures(tmp_path: Path, damage: bytes) -> None:
    """What a mirror has sent instead, say: no age, and the reason."""
    (tmp_path / "daily.cvd").write_bytes(damage)
    assert "cannot measure signatures of" in taken("signatures", tmp_path)["measure_failed"].problem


def test_no_signatures(tmp_path: Path) -> None:
    """Others than the daily ones do not count."""
    (tmp_path / "main.cvd").touch()
    assert "has freshclam loaded any?" in taken("signatures", tmp_path)["measure_failed"].problem


def test_every_kind_of_the_services_is_known() -> None:
    """What a service names can be measured."""
    source = "".join(path.read_text() for path in Path(measures.__file__).parent.glob("services/*.py"))
    named = {line.split('"')[1] for line in source.split("Measure(kind=")[1:]}
    assert named <= measures._KINDS.keys()
