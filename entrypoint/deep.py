"""`entrypoint health --deep`: everything asked, measured and tried now."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from entrypoint.health import age
from entrypoint.letter import send
from entrypoint.look import last_look, look
from entrypoint.plan import Letter, read_plan

if TYPE_CHECKING:
    from entrypoint.health import Report

# Of what was measured, what a person may want to read when all is well.
_FIGURES = {
    "queue_messages": "{:.0f} in the queue",
    "room_free_ratio": "{:.0%} free in {folder}",
    "round_trip_seconds": "{server} took {:.2f} s",
}


def examine(report: Report, run_dir: str) -> None:
    """Add what is needed, measured and tried to the report of what runs and answers."""
    plan = read_plan(Path(run_dir, "plan.json"))
    found = look(plan, last_look(Path(run_dir, "look.json")))
    report.details.update(needs=found["needs"], measures=found["measures"], looked_at=found["at"])
    took = {value["labels"]["need"]: value["value"] for value in found["measures"] if value["name"] == "need_seconds"}
    for name, need in found["needs"].items():
        if need["ok"]:
            report.good.append(f"{name} answers in {took[name]:.2f} s")
        else:
            (report.problems if need["required"] else report.warnings).append(f"{name}: {need['line']}")
    for value in found["measures"]:
        if value["problem"]:
            report.problems.append(value["problem"])
        elif value["warning"]:
            report.warnings.append(value["warning"])
        elif value["name"] in _FIGURES:
            report.good.append(_FIGURES[value["name"]].format(value["value"], **value["labels"]))
    for path, expires in plan.expires.items():
        if expires < report.at:
            report.problems.append(f"the certificate {path} has expired")
        else:
            report.good.append(f"{Path(path).name} is good for {age(expires - report.at)}")
    if plan.letter:
        _send(report, plan.letter)


def _send(report: Report, letter: Letter) -> None:
    """A message through the whole system."""
    if not letter.recipient:
        report.good.append("no message was sent: HEALTH_MAILBOX is not set")
        report.details["message"] = {"sent": False}
        return
    journey = send(letter)
    report.details["message"] = {"sent": True, **asdict(journey)}
    if not journey.ok:
        report.problems.append(journey.line)
        return
    report.good.append(journey.line)
    if journey.folder != "INBOX":
        report.warnings.append(f"the message to {letter.recipient} was taken for spam, and came to {journey.folder}")
