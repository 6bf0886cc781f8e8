"""What is measured now and then, and which figures are worth a warning, or are a problem.

A warning is something that a person should see to within days; with a problem mail is refused, lost or
late already, or will be soon. The limits stand beside each measure, with their reasons. No program is
called: a look has to be cheap, and to work when the daemon does not.
"""

from __future__ import annotations

import heapq
import json
import os
import string
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from entrypoint.errors import ProbeError
from entrypoint.plan import Measure, Probe
from entrypoint.probes import ask, where
from entrypoint.probes.redis import memory

MIB, GIB = 2**20, 2**30
DAY_S = 86_400.0

# Below 100 MiB a single large message may not fit. A twentieth is where file systems get slow, but of a large disk
# that is a lot: 5 GiB are hours of mail.
ROOM_PROBLEM = (100 * MIB, 0.05, 5 * GIB)  # bytes at least; or this share, but no more bytes than …
ROOM_WARNING = (200 * MIB, 0.10, 20 * GIB)
# A maildir takes a file for each message; their number cannot be raised without a new file system.
INODES_PROBLEM, INODES_WARNING = 0.02, 0.10
# Exim looks at each message in every queue run: with this many, a run takes longer than the minute between two.
QUEUE_LONG = 10_000
# Frozen messages are told apart by opening their files: the oldest are enough, as frozen ones soon are.
QUEUE_LOOKED_INTO = 2_000
# ClamAV publishes daily, and now and then misses a day. After a week, what spreads today is unknown.
SIGNATURES_WARNING_S, SIGNATURES_PROBLEM_S = 2 * DAY_S, 7 * DAY_S
# From here on Redis soon forgets what would have expired later (maxmemory-policy volatile-ttl).
REDIS_WARNING = 0.9

_BASE_62 = {digit: value for value, digit in enumerate(string.digits + string.ascii_uppercase + string.ascii_lowercase)}


@dataclass(frozen=True, kw_only=True)
class Value:
    """One figure: the gauge postern_NAME{LABELS} of the metrics."""

    name: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    warning: str = ""


def take(measure: Measure) -> list[Value]:
    """All figures of a measure. One that cannot be taken is a problem, not an exception."""
    try:
        return list(_KINDS[measure.kind](measure))
    except (OSError, ProbeError, ValueError) as error:
        server = where(measure.probe) if measure.probe else measure.where
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        problem = f"cannot measure {measure.kind} of {server}: {why}"
        return [Value(name="measure_failed", labels={"kind": measure.kind, "of": server}, value=1, problem=problem)]


def _queue(measure: Measure) -> Iterator[Value]:
    """Exim's spool: one file ID-H for each message, whose name begins with the time of its arrival."""
    folder = {"folder": measure.where}
    messages = list(_messages(f"{measure.where}/input"))
    oldest = heapq.nsmallest(QUEUE_LOOKED_INTO, messages)  # Exim's digits are in the order of their characters
    frozen = {message for message in oldest if _is_frozen(message[1])}
    waiting = next((name for name, path in oldest if (name, path) not in frozen), "")
    age_s = max(0.0, time.time() - arrival(waiting)) if waiting else 0.0
    long = f"{len(messages)} messages in the queue ({measure.where})" if len(messages) > QUEUE_LONG else ""
    late = f"a message has been in the queue for {_age(age_s)} ({measure.where})" if age_s > measure.late_s else ""
    yield Value(name="queue_messages", labels=folder, value=len(messages), warning=long)
    yield Value(name="queue_frozen", labels=folder, value=len(frozen))
    yield Value(name="queue_oldest_seconds", labels=folder, value=round(age_s), warning=late)


def _messages(folder: str) -> Iterator[tuple[str, str]]:
    """Names and paths of the -H files, also where the spool is split into folders of one letter."""
    try:
        entries = os.scandir(folder)
    except FileNotFoundError:
        return  # before the first message
    with entries:
        for entry in entries:
            if entry.name.endswith("-H") and entry.name[:1] in _BASE_62:
                yield entry.name, entry.path
            elif len(entry.name) == 1 and entry.is_dir():
                yield from _messages(entry.path)


def arrival(name: str) -> float:
    """The time in an Exim message id (1xVESy-0000000001M-2itd): seconds since the epoch to base 62."""
    seconds = 0
    for digit in name[:6]:
        seconds = seconds * 62 + _BASE_62.get(digit, 0)
    return float(seconds)


def _is_frozen(path: str) -> bool:
    """Exim 4.98 specification, 57: the lines behind the fourth that begin with a dash are about the message."""
    try:
        with Path(path).open("rb") as file:
            return b"\n-frozen " in file.read(4096)
    except FileNotFoundError:
        return False  # delivered in this moment


def _room(measure: Measure) -> Iterator[Value]:
    """What a user who is not root can still write."""
    found = os.statvfs(measure.where)
    free = found.f_bavail * found.f_frsize
    total = (found.f_blocks - found.f_bfree + found.f_bavail) * found.f_frsize
    labels = {"folder": measure.where}
    words = f"{_size(free)} of {_size(total)} are free in {measure.where}"
    problem = words if free < _least(total, *ROOM_PROBLEM) else ""
    warning = words if not problem and free < _least(total, *ROOM_WARNING) else ""
    yield Value(name="room_free_bytes", labels=labels, value=free, problem=problem, warning=warning)
    yield Value(name="room_free_ratio", labels=labels, value=round(free / total, 4) if total else 0.0)
    if found.f_files:  # some file systems have no such limit
        yield _inodes(found.f_favail / found.f_files, labels)


def _least(total: int, at_least: int, share: float, at_most: int) -> float:
    return max(at_least, min(share * total, at_most))


def _inodes(share: float, labels: Mapping[str, str]) -> Value:
    words = f"{share:.1%} of the files that the file system can have are left in {labels['folder']}"
    problem = words if share < INODES_PROBLEM else ""
    warning = words if not problem and share < INODES_WARNING else ""
    name = "room_free_inodes_ratio"
    return Value(name=name, labels=labels, value=round(share, 4), problem=problem, warning=warning)


def _redis_memory(measure: Measure) -> Iterator[Value]:
    used, limit = memory(_probe(measure))
    words = f"Redis uses {_size(used)} of {_size(limit)} (REDIS_MAXMEMORY)"
    # More than its limit: nothing is left that it may forget, and it refuses to write.
    problem = f"{words} and refuses what is new" if limit and used > limit else ""
    warning = f"{words} and will forget early" if limit and not problem and used > REDIS_WARNING * limit else ""
    yield Value(name="redis_memory_bytes", value=used, problem=problem, warning=warning)
    yield Value(name="redis_memory_limit_bytes", value=limit)


def _round_trip(measure: Measure) -> Iterator[Value]:
    """How long a good answer takes."""
    begin = time.monotonic()
    probe = _probe(measure)
    ask(probe)
    yield Value(name="round_trip_seconds", labels={"server": where(probe)}, value=round(time.monotonic() - begin, 4))


def _mailboxes(measure: Measure) -> Iterator[Value]:
    """Whether the last round of entrypoint.fetching has got all mail of each mailbox elsewhere."""
    try:
        found = json.loads(Path(measure.where).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return  # before the first round
    for each in found["mailboxes"]:
        why, since = each["reason"], each["since"]
        warning = f"cannot fetch {each['title']} since {_age(time.time() - since)}: {why}" if why else ""
        yield Value(name="mailbox_ok", labels={"mailbox": each["title"]}, value=float(not why), warning=warning)


def _signatures(measure: Measure) -> Iterator[Value]:
    """How long ago ClamAV has made the newest daily database that is here."""
    files = [path for name in ("daily.cvd", "daily.cld") if (path := Path(measure.where, name)).exists()]
    if not files:
        raise ValueError("there is no daily.cvd or daily.cld; has freshclam loaded any?")
    age_s = max(0.0, time.time() - max(map(_made, files)))
    words = f"the newest virus signatures in {measure.where} are {_age(age_s)} old"
    problem = words if age_s > SIGNATURES_PROBLEM_S else ""
    warning = words if not problem and age_s > SIGNATURES_WARNING_S else ""
    labels = {"folder": measure.where}
    yield Value(name="signatures_age_seconds", labels=labels, value=round(age_s), problem=problem, warning=warning)


def _made(database: Path) -> float:
    """When it was made, by its header: `ClamAV-VDB:25 Nov 2026 09-33 +0000:27000:…` (sigtool(1), --info).

    The file's own date is that of a download or a copy: a mirror that stands still would give old signatures a new one.
    """
    with database.open("rb") as file:
        kind, _, rest = file.read(512).partition(b":")
    if kind != b"ClamAV-VDB":
        raise ValueError(f"{database} has no header of ClamAV's")
    return datetime.strptime(rest.split(b":")[0].decode("ascii"), "%d %b %Y %H-%M %z").timestamp()


_KINDS: dict[str, Callable[[Measure], Iterator[Value]]] = {
    "mailboxes": _mailboxes,
    "queue": _queue,
    "redis-memory": _redis_memory,
    "room": _room,
    "round-trip": _round_trip,
    "signatures": _signatures,
}


def _probe(measure: Measure) -> Probe:
    if measure.probe is None:
        raise ValueError("the plan does not say whom to ask")
    return measure.probe


def _size(count: float) -> str:
    for unit, size in (("GiB", GIB), ("MiB", MIB), ("KiB", 1024)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"


def _age(seconds: float) -> str:
    for unit, length in (("days", DAY_S), ("hours", 3600.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 60:.0f} minutes"
