"""Whether the service is well, in one line: its programs run, and they answer what clients ask.

It is its own process every few seconds, beside the daemon and in its memory limit: it imports little,
and ends well before Docker's time limit for it, whatever hangs.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from entrypoint.errors import ProbeError
from entrypoint.plan import PLAN_FILE, STATE_FILE, Plan, Probe, read_plan
from entrypoint.probes import ask as ask_for_real
from entrypoint.probes import where

_BUDGET_S = 8.0  # Dockerfiles give the health check 10 s
_LEAST_S = 0.1


@dataclass(frozen=True)
class Health:
    """`line` says why, whatever `well` is."""

    well: bool
    line: str


def main(plan_file: Path = PLAN_FILE, state_file: Path = STATE_FILE) -> int:
    """Print one line; 0 when the service is well, otherwise 1."""
    health = _look(plan_file, state_file)
    print(" ".join(health.line.split()))
    return 0 if health.well else 1


def _look(plan_file: Path, state_file: Path) -> Health:
    try:
        plan = read_plan(plan_file)
    except FileNotFoundError:
        return Health(well=False, line="starting: waiting for what it needs")
    except (OSError, ValueError, TypeError, KeyError) as error:
        return Health(well=False, line=f"unhealthy: cannot read {plan_file}: {error}")
    try:
        state = json.loads(state_file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Health(well=False, line="starting: the supervisor has not reported yet")
    except (OSError, ValueError) as error:
        return Health(well=False, line=f"unhealthy: cannot read {state_file}: {error}")
    return check(plan, state)


def check(
    plan: Plan,
    state: Mapping[str, Any],
    *,
    ask: Callable[[Probe], str] = ask_for_real,
    budget_s: float = _BUDGET_S,
    now: Callable[[], float] = time.time,
) -> Health:
    """The health by the supervisor's `state` and, when that is good, by the daemons' own answers.

    All answers together take `budget_s` at most.
    """
    if state.get("phase") == "stopping":
        return Health(well=False, line="unhealthy: stopping")
    programs = [_look_at(program.name, state, now()) for program in plan.programs if program.kind == "daemon"]
    if not all(program.well for program in programs):
        return _sum_up(programs)
    return _sum_up(programs + _ask_all(plan.probes, ask, budget_s))


def _sum_up(parts: list[Health]) -> Health:
    """Bad news alone, or all the good news."""
    bad = [part.line for part in parts if not part.well]
    if bad:
        return Health(well=False, line="unhealthy: " + "; ".join(bad))
    return Health(well=True, line="healthy: " + ", ".join(part.line for part in parts))


def _look_at(name: str, state: Mapping[str, Any], now: float) -> Health:
    program: Mapping[str, Any] = state.get("programs", {}).get(name, {})
    word = program.get("state", "unknown to the supervisor")
    last_exit = f" (last: {program['last_exit']})" if program.get("last_exit") else ""
    if word != "running":
        return Health(well=False, line=f"{name} is {word}{last_exit}")
    if not _is_alive(program["pid"]):
        return Health(well=False, line=f"{name} has just died, pid {program['pid']} is gone")
    deaths = f" after {program['deaths']} deaths{last_exit}" if program.get("deaths") else ""
    return Health(well=True, line=f"{name} runs since {_age(now - program['since'])}{deaths}")


def _is_alive(pid: int) -> bool:
    """Neither gone nor a zombie (proc(5): the state follows the last parenthesis)."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return False
    return fields[0] not in {"Z", "X"}


def _age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


def _ask_all(probes: tuple[Probe, ...], ask: Callable[[Probe], str], budget_s: float) -> list[Health]:
    """One answer after the other. A late one takes time from those after it, but each gets a little."""
    end = time.monotonic() + budget_s
    answers = []
    for probe in probes:
        left = max(end - time.monotonic(), _LEAST_S)
        answers.append(_ask(replace(probe, timeout_s=min(probe.timeout_s, left)), _label(probe, probes), ask))
    return answers


def _ask(probe: Probe, label: str, ask: Callable[[Probe], str]) -> Health:
    try:
        ask(probe)
    except ProbeError as error:
        return Health(well=False, line=f"{where(probe)}: {error}")
    return Health(well=True, line=f"{label} ok")


def _label(probe: Probe, probes: tuple[Probe, ...]) -> str:
    """The kind, with the port where that alone would be ambiguous."""
    alone = sum(other.kind == probe.kind for other in probes) == 1
    return probe.kind if alone else f"{probe.kind}:{probe.port}"


if __name__ == "__main__":
    sys.exit(main())
