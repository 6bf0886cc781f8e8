"""What the metrics tell: how the programs are, what the log has counted, what the other processes have found out.

Nothing here is asked of a daemon: a scrape costs milliseconds, and what has to be measured is in the
files that the look, the health check and the reload leave.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from entrypoint.logs.counts import Counts
from entrypoint.openmetrics import Family, Sample, exposition
from entrypoint.supervise.child import Child
from entrypoint.supervise.usage import Usage, usages

STATES = ("waiting", "running", "backoff", "stopping", "stopped", "done", "fatal")

_COUNTED = {
    "log_lines": "Lines that were logged, by level, those below LOG_LEVEL included.",
    "mail_received": "Messages that this role has taken.",
    "mail_delivered": "Deliveries, one for each recipient.",
    "mail_deferred": "Deliveries that are tried again later, each time.",
    "mail_failed": "Recipients that could not be reached, for good: the sender gets a bounce.",
    "mail_rejected": "Connections, commands, logins and messages that were refused, by reason.",
    "logins": "Logins by protocol and result; for smtp a good one is counted with each message.",
    "spam_verdicts": "Messages that rspamd has looked at, by what it advises.",
}
_MEASURED = {
    "need_seconds": "How long a needed service took for its good answer.",
    "queue_messages": "Messages in the queue.",
    "queue_frozen": "Messages in the queue that are not tried any more.",
    "queue_oldest_seconds": "Age of the oldest message in the queue that is not frozen.",
    "room_free_bytes": "Room on the file system of a folder.",
    "room_free_ratio": "The same as a share of all.",
    "room_free_inodes_ratio": "Files that can still be made there, as a share of all.",
    "redis_memory_bytes": "Memory that Redis uses.",
    "redis_memory_limit_bytes": "Memory that Redis may use; 0: no limit.",
    "round_trip_seconds": "How long the service's own server took for a good answer.",
    "mailbox_ok": "Whether the last round has fetched all mail of a mailbox elsewhere.",
    "signatures_age_seconds": "Age of the newest virus signatures.",
    "measure_failed": "What could not be measured.",
}
_UNITS = ("bytes", "seconds", "ratio")


class Metrics:
    """Makes the text for each scrape."""

    def __init__(self, service: str, children: Mapping[str, Child], counts: Counts, folder: Path) -> None:
        """`folder` has plan.json, state.json and their like."""
        self._service = service
        self._children = children
        self._counts = counts
        self._folder = folder
        self._since = time.time()
        self._spent = _Spent()

    def text(self, dropped: int) -> str:
        """All families; `dropped` log lines were lost because nobody read them."""
        files = {name: _read(self._folder / f"{name}.json") for name in ("plan", "state", "look", "health")}
        families = [
            *self._programs(),
            *_counted(self._counts),
            Family("log_lines_dropped", "counter", "Lines that nobody read in time.", [Sample(dropped)]),
            *_certificates(files["plan"]),
            *_reload(files["state"]),
            *_health(files["health"]),
            *_needs(files["look"]),
            *_measures(files["look"]),
            Family("start_time_seconds", "gauge", "When the container started.", [Sample(self._since)], "seconds"),
            Family("build_info", "gauge", "The version that runs.", _build(files["plan"])),
        ]
        return exposition(families, {"service": self._service})

    def _programs(self) -> Iterator[Family]:
        told = {name: child.describe() for name, child in self._children.items()}
        taken = usages([each["pid"] for each in told.values() if each["pid"]])
        use = {name: taken[each["pid"]] for name, each in told.items() if each["pid"]}
        cpu = {name: self._spent.total(name, self._children[name].cpu_s, use.get(name)) for name in told}

        def each(value: Callable[[Mapping[str, Any]], float], *kinds: str) -> list[Sample]:
            return [Sample(value(state), {"program": name}) for name, state in told.items() if state["kind"] in kinds]

        steady, jobs = ("daemon", "once"), ("job",)
        up = each(lambda p: p["state"] == "running", "daemon")
        yield Family("program_up", "gauge", "1 while the daemon runs.", up)
        yield Family("program_state", "stateset", "The state that it is in.", _states(told))
        restarts = each(lambda p: max(0, p["starts"] - 1), *steady)
        yield Family("program_restarts", "counter", "Starts after the first.", restarts)
        yield Family("program_deaths", "gauge", "Deaths within the last minute.", each(lambda p: p["deaths"], *steady))
        yield Family("job_runs", "counter", "How often the job was started.", each(lambda p: p["starts"], *jobs))
        yield Family("job_failures", "gauge", "Failed runs in a row.", each(lambda p: p["deaths"], *jobs))
        help_text = "CPU time that it and its children have taken, at least."
        samples = [Sample(round(value, 2), {"program": name}) for name, value in cpu.items()]
        yield Family("program_cpu_seconds", "counter", help_text, samples, "seconds")
        samples = [Sample(value.memory_bytes, {"program": name}) for name, value in use.items()]
        help_text = "Memory of it and its children; what they share is counted for each."
        yield Family("program_resident_memory_bytes", "gauge", help_text, samples, "bytes")
        samples = [Sample(value.processes, {"program": name}) for name, value in use.items()]
        yield Family("program_processes", "gauge", "Processes of it and its children.", samples)


class _Spent:
    """CPU time over all lives of the programs: a counter, so it never falls.

    Else it would, when a child ends that nobody of the family waits for.
    """

    def __init__(self) -> None:
        self._told: dict[str, float] = {}

    def total(self, name: str, before_s: float, usage: Usage | None) -> float:
        """Seconds: those of the lives that are over, and what it takes in this one."""
        now = before_s + (usage.cpu_s if usage else 0.0)
        self._told[name] = max(self._told.get(name, 0.0), now)
        return self._told[name]


def _states(told: Mapping[str, Mapping[str, Any]]) -> list[Sample]:
    return [
        Sample(state["state"] == word, {"program": name, "postern_program_state": word})
        for name, state in told.items()
        for word in STATES
    ]


def _counted(counts: Counts) -> Iterator[Family]:
    for name, text in _COUNTED.items():
        samples = [Sample(value, dict(labels)) for (its, labels), value in counts.values.items() if its == name]
        yield Family(name, "counter", text, samples)


def _certificates(plan: Mapping[str, Any]) -> Iterator[Family]:
    samples = [Sample(at, {"file": file}) for file, at in plan.get("expires", {}).items()]
    help_text = "When the certificate expires."
    yield Family("certificate_expiry_timestamp_seconds", "gauge", help_text, samples, "seconds")


def _reload(state: Mapping[str, Any]) -> Iterator[Family]:
    note = state.get("reload") or {}
    samples = [Sample(bool(note["ok"]))] if "ok" in note else []
    yield Family("reload_ok", "gauge", "Whether the last reload was not refused.", samples)


def _health(health: Mapping[str, Any]) -> Iterator[Family]:
    if "well" in health:
        yield Family("healthy", "gauge", "What the last health check said.", [Sample(bool(health["well"]))])
        help_text = "How long ago that was."
        yield Family("health_age_seconds", "gauge", help_text, [Sample(_since(health))], "seconds")


def _needs(look: Mapping[str, Any]) -> Iterator[Family]:
    samples = [Sample(bool(need["ok"]), {"need": name}) for name, need in look.get("needs", {}).items()]
    yield Family("need_ok", "gauge", "Whether a needed service answered when it was asked last.", samples)


def _measures(look: Mapping[str, Any]) -> Iterator[Family]:
    if "at" in look:
        yield Family("look_age_seconds", "gauge", "Age of what was measured.", [Sample(_since(look))], "seconds")
    measures = look.get("measures", [])
    for name, text in _MEASURED.items():
        samples = [Sample(each["value"], each["labels"]) for each in measures if each["name"] == name]
        yield Family(name, "gauge", text, samples, next((unit for unit in _UNITS if name.endswith(f"_{unit}")), ""))


def _build(plan: Mapping[str, Any]) -> list[Sample]:
    return [Sample(1, {"version": plan["version"]})] if "version" in plan else []


def _since(told: Mapping[str, Any]) -> float:
    return round(max(0.0, time.time() - float(told["at"])), 1)


def _read(file: Path) -> Mapping[str, Any]:
    """What is in it; nothing when it is not there yet, or damaged."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
