"""The job `look`: asks again what was waited for at the start, measures, and writes down what it found.

Health checks and metrics read that (look.json): each of them asking the directory by itself would take
ten times the time. The log gets a line when something has changed, not with each look.

{"at": 1795376612.0,                        when this was written; seconds since the epoch
 "needs": {"ldap": {
   "ok": false, "required": true,
   "at": 1795376582.0,                      of the last good answer; null: none since the start
   "line": "ldaps://…: tcp: connection refused"}},
 "measures": [{
   "name": "queue_messages", "labels": {"folder": "/var/spool/exim"}, "value": 3.0,
   "problem": "", "warning": ""}]}          in words, when there is one
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from entrypoint.errors import ProbeError
from entrypoint.measures import Value, take
from entrypoint.plan import LOOK_FILE, PLAN_FILE, Measure, Need, Plan, Probe, read_plan, write_atomically
from entrypoint.probes import ask as ask_for_real
from entrypoint.probes import where

_BUDGET_S = 20.0  # for all needs together; the job is given 25
_LEAST_S = 0.1

Ask = Callable[[Probe], str]
Look = dict[str, Any]


def main(plan_file: Path = PLAN_FILE, look_file: Path = LOOK_FILE) -> int:
    """Look once; 0 whatever is found: that something else is away is no failure of the job."""
    plan, before = read_plan(plan_file), last_look(look_file)
    found = look(plan, before)
    write_atomically(look_file, json.dumps(found, indent=2) + "\n")
    news = list(changes(before, found))
    if news:
        _tell(plan, news)
    return 0


def last_look(look_file: Path = LOOK_FILE) -> Look:
    """What was found the last time; nothing when there was none, or when it cannot be read."""
    with suppress(OSError, ValueError):
        found = json.loads(look_file.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def look(plan: Plan, before: Mapping[str, Any], *, ask: Ask = ask_for_real, budget_s: float = _BUDGET_S) -> Look:
    """The needs' answers and the measures' figures, as look.json has them."""
    end = time.monotonic() + budget_s
    needs, values = {}, []
    for need in plan.needs:
        needs[need.name], seconds = _ask(need, before.get("needs", {}).get(need.name, {}), end, ask)
        values += [] if seconds is None else [Value(name="need_seconds", labels={"need": need.name}, value=seconds)]
    values += [value for measure in plan.measures for value in take(_hurried(measure, end))]
    return {"at": time.time(), "needs": needs, "measures": [asdict(value) for value in values]}


def _ask(need: Need, before: Mapping[str, Any], end: float, ask: Ask) -> tuple[dict[str, Any], float | None]:
    """What look.json says of a need, and how long a good answer took."""
    begin, failures = time.monotonic(), []
    for probe in need.probes:
        try:
            line = f"{where(probe)}: {ask(_shortened(probe, end))}"
        except ProbeError as error:
            failures.append(f"{where(probe)}: {error}")
        else:
            seconds = round(time.monotonic() - begin, 4)
            return {"ok": True, "required": need.required, "at": time.time(), "line": line}, seconds
    return {"ok": False, "required": need.required, "at": before.get("at"), "line": "; ".join(failures)}, None


def _shortened(probe: Probe, end: float) -> Probe:
    """One that is silent must not take the time of all after it; a little is left for each."""
    return replace(probe, timeout_s=min(probe.timeout_s, max(end - time.monotonic(), _LEAST_S)))


def _hurried(measure: Measure, end: float) -> Measure:
    return replace(measure, probe=_shortened(measure.probe, end)) if measure.probe else measure


def changes(before: Mapping[str, Any], found: Mapping[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Level, event and fields of each line for the log: what is bad and was not, or the other way round."""
    for name, need in found["needs"].items():
        was = before.get("needs", {}).get(name, {}).get("ok", True)
        if was and not need["ok"]:
            yield "warning", "a needed service does not answer", {"need": name, "reason": need["line"]}
        elif need["ok"] and not was:
            yield "info", "a needed service answers again", {"need": name, "answer": need["line"]}
    past = {_key(value): _level(value) for value in before.get("measures", [])}
    for value in found["measures"]:
        level, was = _level(value), past.pop(_key(value), "info")
        if level != was:
            event = "a measure is bad" if level != "info" else "a measure is good again"
            reason = {"reason": value["problem"] or value["warning"]} if level != "info" else {}
            yield level, event, {"measure": value["name"], **value["labels"], **reason}
    for (name, *labels), was in past.items():  # what could not be measured, and now can
        if was != "info":
            yield "info", "a measure is good again", {"measure": name, **dict(labels)}


def _key(value: Mapping[str, Any]) -> tuple[Any, ...]:
    return (value["name"], *sorted(value["labels"].items()))


def _level(value: Mapping[str, Any]) -> str:
    return "error" if value["problem"] else "warning" if value["warning"] else "info"


def _tell(plan: Plan, news: list[tuple[str, str, dict[str, Any]]]) -> None:
    """As JSON, which the supervisor reads and writes as it writes all lines."""
    import structlog  # 70 ms, for the few looks that find something new

    from entrypoint.logs import configure

    configure("json", plan.log_level, service=plan.service)
    for level, event, fields in news:
        getattr(structlog.get_logger(), level)(event, **fields)


if __name__ == "__main__":
    sys.exit(main())
