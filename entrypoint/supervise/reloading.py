"""Reloads: asked for by a signal, or by files that have changed; done by a job of the plan.

The job reads the settings again, makes the files, has them checked and puts them in place, or
refuses to. What it leaves in reload.json says which programs have to be told, and how:

{"at": 1795376582.1, "ok": true, "line": "…", "actions": {"exim": "HUP", "redis": "restart"}}

A job among them is run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

from entrypoint.plan import RELOAD_JOB, Plan, read_plan
from entrypoint.supervise.child import Child
from entrypoint.supervise.job import Job
from entrypoint.watch import signature

LOOK_EVERY_S = 2.0

log = structlog.get_logger()


class Reloading:
    """When to reload, and what comes of it."""

    def __init__(self, children: Mapping[str, Child], plan: Plan, folder: Path) -> None:
        """`folder` has plan.json and reload.json."""
        self._children = children
        self._folder = folder
        self._known = dict(plan.watch)
        self._seen = dict(plan.watch)
        self._next_look = time.monotonic() + LOOK_EVERY_S
        self._asked = False
        self.note: dict[str, Any] | None = None  # what came of the last one, for state.json

    @property
    def _job(self) -> Job | None:
        job = self._children.get(RELOAD_JOB)
        return job if isinstance(job, Job) else None

    def ask(self, why: str) -> None:
        """Reload as soon as no other reload runs."""
        if self._job is None:
            log.info("nothing to reload", why=why)
            return
        log.info("reloading", why=why)
        self._job.ask()

    def look(self) -> None:
        """Ask for a reload when watched files have changed and, one look later, still are as then.

        Those who renew a certificate write several files, one after the other.
        """
        if time.monotonic() < self._next_look or self._job is None:
            return
        self._next_look = time.monotonic() + LOOK_EVERY_S
        before, self._seen = self._seen, {path: signature(path) for path in self._known}
        changed = [path for path, seen in self._seen.items() if seen != self._known[path]]
        if changed and self._seen == before:
            self._known = self._seen
            self.ask(f"changed: {' '.join(changed)}")

    def deadline_s(self) -> float | None:
        """Seconds until the next look."""
        if self._job is None or not self._known:
            return None
        return max(0.0, self._next_look - time.monotonic())

    def ended(self, job: Child) -> None:
        """Do what the job has found out is to be done; it knows, and has logged, why it refused."""
        self.note, actions = self._result(job)
        for name, action in actions.items():
            child = self._children[name]
            if action == "restart":
                child.restart()
            elif isinstance(child, Job):
                child.ask()
            else:
                child.send(action)
        if self.note["ok"]:
            self._known = dict(read_plan(self._folder / "plan.json").watch)

    def _result(self, job: Child) -> tuple[dict[str, Any], Mapping[str, str]]:
        """What it says of itself, and the actions; a job that has said nothing has failed."""
        file = self._folder / "reload.json"
        with suppress(OSError, ValueError, LookupError, TypeError):
            result = json.loads(file.read_text(encoding="utf-8"))
            file.unlink()
            actions = result.pop("actions")
            return result, actions if result["ok"] else {}
        ending = job.last_ending.words if job.last_ending else "unknown"
        line = f"cannot reload: it ended without a result, with {ending}"
        log.error(line)
        return {"at": time.time(), "ok": False, "line": line}, {}
