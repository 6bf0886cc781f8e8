"""Whether the service is well, in one line and a code: 0 yes, 1 no. There are three depths of the question.

live   its programs run, and are not in a crash loop: would a new container be better? What is away elsewhere
       never counts here, or a directory's outage would restart the mail servers.
ready  they also answer what clients ask, and what they need elsewhere has answered lately.
deep   all that can be asked, measured and tried at once, with a message that goes through the whole system: for
       people and for monitoring, not for every ten seconds (entrypoint.deep).

It is its own process every few seconds, beside the daemon and in its memory limit: it imports next to nothing
(entrypoint.light), and ends well before Docker's time limit for it, whatever hangs.
"""

from __future__ import annotations

import time

from entrypoint.light import TYPE_CHECKING, encode, read_json, write_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import Any

RUN_DIR = "/run/entrypoint"
MODES = ("live", "ready", "deep")

# Dockerfiles give the health check 10 s.
BUDGET_S = 8.0
_LEAST_S = 0.1
# A daemon's death is in the state before the next breath, unless the supervisor is stuck.
_SETTLE_S = 0.5
# Once or twice may be bad luck, which the restart has cured; the plan's limit ends the container soon after this.
CRASH_LOOP = 3
# A needed service counts as away when it was asked so many times in vain, one after the other.
LOOKS = 3
# However often one looks: asking a server that is silent takes its time.
LEAST_SILENCE_S = 15.0
CERTIFICATE_WARNING_DAYS = 14
# For so long the last answer to `--ready` counts; the alert PosternHealthUnknown goes off then.
NOTE_S = 300.0
DAY_S = 86_400.0

_WELL = {"live": "alive", "ready": "healthy", "deep": "healthy"}
_UNWELL = {"live": "not alive", "ready": "unhealthy", "deep": "unhealthy"}


class Report:
    """What has been found out; `details` are what --json adds."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.at = time.time()
        self.starting = ""
        self.good: list[str] = []
        self.problems: list[str] = []
        self.warnings: list[str] = []
        self.details: dict[str, Any] = {}

    @property
    def well(self) -> bool:
        """Whether the code is 0. What still starts is alive, but not ready."""
        return not self.problems and (not self.starting or self.mode == "live")

    @property
    def line(self) -> str:
        """The reasons against; or those to have a look; or what was found good."""
        if self.problems:
            text = f"{_UNWELL[self.mode]}: {'; '.join(self.problems)}"
        elif self.starting:
            text = f"{'alive: ' if self.mode == 'live' else ''}starting: {self.starting}"
        elif self.warnings:
            text = f"{_WELL[self.mode]}, but: {'; '.join(self.warnings)}"
        else:
            text = f"{_WELL[self.mode]}: {', '.join(self.good)}"
        return " ".join(text.split())

    def as_dict(self) -> dict[str, Any]:
        """What --json prints: docs/how-to/health.md."""
        told = {"at": self.at, "mode": self.mode, "well": self.well, "line": self.line}
        return {**told, "problems": self.problems, "warnings": self.warnings, "good": self.good, **self.details}


def main(arguments: Iterable[str], run_dir: str = RUN_DIR) -> int:
    """Print one line, or with --json all details; the exit code."""
    chosen = [argument.removeprefix("--") for argument in arguments]
    report = examine(next((mode for mode in chosen if mode in MODES), "ready"), run_dir)
    print(encode(report.as_dict()) if "json" in chosen else report.line)
    _note(report, f"{run_dir}/health.json")
    return 0 if report.well else 1


def _note(report: Report, path: str) -> None:
    """Keep the result for metrics and for `entrypoint status`.

    What `--ready` says counts for them, and that of another depth only where nobody asks for it: Kubernetes asks both
    in turn, and a container that is alive would else seem to be well every other time.
    """
    if report.mode != "ready" and _is_ready_asked(report.at, path):
        return
    try:
        write_json(path, {"at": report.at, "mode": report.mode, "well": report.well, "line": report.line})
    except OSError:
        return  # the answer itself is what counts


def _is_ready_asked(now: float, path: str) -> bool:
    try:
        note = read_json(path)
        return bool(note["mode"] == "ready" and now - note["at"] < NOTE_S)
    except (OSError, ValueError, LookupError, TypeError):
        return False


def examine(mode: str, run_dir: str = RUN_DIR) -> Report:
    """All that is found out in this depth."""
    report = Report(mode)
    try:
        _examine(report, run_dir)
    except (LookupError, TypeError, AttributeError) as error:
        report.problems.append(f"cannot understand what is in {run_dir}: {type(error).__name__}: {error}")
    return report


def _examine(report: Report, run_dir: str) -> None:
    plan = _read(report, f"{run_dir}/plan.json", "waiting for what it needs")
    if plan is None:
        return
    state = _settled(report, f"{run_dir}/state.json")
    if state is None:
        return
    look_at_programs(report, plan, state)
    if report.mode == "live" or report.problems:
        return
    ask_all(report, plan.get("probes", ()))
    note_warnings(report, plan, state)
    if report.mode == "deep":
        from entrypoint import deep

        deep.examine(report, run_dir)
    else:
        look_at_needs(report, plan, state, _last_look(run_dir))


def _read(report: Report, path: str, starting: str) -> Any:
    """What is in the file. It is missing while the container starts."""
    try:
        return read_json(path)
    except FileNotFoundError:
        report.starting = starting
    except (OSError, ValueError) as error:
        report.problems.append(f"cannot read {path}: {error}")
    return None


def _last_look(run_dir: str) -> Mapping[str, Any]:
    found = _read(Report("ready"), f"{run_dir}/look.json", "")
    return found or {}


# --- what runs


def _settled(report: Report, path: str) -> Any:
    """The supervisor's state. One that names a process which is gone is given a moment to be replaced."""
    end = time.monotonic() + _SETTLE_S
    while True:
        state = _read(report, path, "the supervisor has not reported yet")
        if state is None or time.monotonic() > end or not any(_is_outdated(each) for each in _programs(state).values()):
            return state
        time.sleep(_SETTLE_S / 10)


def _programs(state: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = state.get("programs", {})
    return found


def _is_outdated(program: Mapping[str, Any]) -> bool:
    return (
        program.get("kind", "daemon") == "daemon"
        and program["state"] == "running"
        and not is_alive(program["pid"] or 0)
    )


def is_alive(pid: int) -> bool:
    """Neither gone nor a zombie (proc(5): the state follows the last parenthesis)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # see entrypoint.light
            return file.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False


def look_at_programs(report: Report, plan: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """Whether each program of the plan is in the state that it should be in."""
    report.details.update(service=plan.get("service", ""), programs=_programs(state))
    if state.get("phase") == "stopping" and report.mode != "live":
        report.problems.append("stopping")
        return
    for program in plan["programs"]:
        _look_at(report, program["name"], program.get("kind", "daemon"), _programs(state).get(program["name"], {}))
    if not report.good and not report.problems:
        report.good.extend(_own_jobs(plan) or ["nothing to run"])


def _own_jobs(plan: Mapping[str, Any]) -> list[str]:
    """The jobs that are the service's work, where it has no daemon."""
    of_all = {"reload", "look"}  # as in entrypoint.plan
    names = [program["name"] for program in plan["programs"] if program["name"] not in of_all]
    return [f"the job {name} runs now and then" for name in names]


def _look_at(report: Report, name: str, kind: str, program: Mapping[str, Any]) -> None:
    word = program.get("state", "unknown to the supervisor")
    last = f" (last: {program['last_exit']})" if program.get("last_exit") else ""
    if kind == "job":
        if program.get("deaths"):
            report.warnings.append(f"the job {name} has failed {_times(program['deaths'])}{last}")
    elif word == "running" and kind == "daemon":
        _look_at_process(report, name, program, last)
    elif word == "done":
        report.good.append(f"{name} is done")
    elif report.mode != "live" or _is_lost(word, program):
        again = f", starts again in {max(0.0, program['next'] - report.at):.1f} s" if program.get("next") else ""
        report.problems.append(f"{name} is {word}{last}{again}")
    else:
        report.good.append(f"{name} is {word}{last}")


def _is_lost(word: str, program: Mapping[str, Any]) -> bool:
    """Whether a new container would be better than waiting for this program."""
    return word not in {"waiting", "running", "backoff", "stopping"} or (
        word == "backoff" and program.get("deaths", 0) >= CRASH_LOOP
    )


def _look_at_process(report: Report, name: str, program: Mapping[str, Any], last: str) -> None:
    if is_alive(program["pid"]):
        deaths = f" after {_times(program['deaths'], 'death', 'deaths')}{last}" if program.get("deaths") else ""
        report.good.append(f"{name} runs since {age(report.at - program['since'])}{deaths}")
    else:
        report.problems.append(f"{name} has just died, pid {program['pid']} is gone")


def _times(count: int, one: str = "time", many: str = "times") -> str:
    return f"{count} {one if count == 1 else many}"


def age(seconds: float) -> str:
    """In the largest unit. A clock that went back is no reason for an error."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{int(seconds // length)} {unit}"
    return f"{max(0, int(seconds))} s"


# --- what answers


def ask_all(report: Report, probes: Sequence[Mapping[str, Any]], budget_s: float = BUDGET_S) -> None:
    """One answer after the other. A late one takes time from those after it, but each gets a little."""
    end = time.monotonic() + budget_s
    kinds = [probe["kind"] for probe in probes]
    report.details["probes"] = []
    for fields in probes:
        label = fields["kind"] if kinds.count(fields["kind"]) == 1 else f"{fields['kind']}:{fields['port']}"
        left = max(end - time.monotonic(), _LEAST_S)
        _ask(report, {**fields, "timeout_s": min(fields["timeout_s"], left)}, label)


def _ask(report: Report, fields: Mapping[str, Any], label: str) -> None:
    from entrypoint.errors import ProbeError
    from entrypoint.probe import Probe
    from entrypoint.probes import ask, where

    probe, begin = Probe(**fields), time.monotonic()
    try:
        answer, ok = ask(probe), True
        report.good.append(f"{label} ok")
    except ProbeError as error:
        answer, ok = str(error), False
        report.problems.append(f"{where(probe)}: {answer}")
    seconds = round(time.monotonic() - begin, 4)
    report.details["probes"].append({"server": where(probe), "ok": ok, "line": answer, "seconds": seconds})


# --- what is needed, and what else there is to say


def look_at_needs(report: Report, plan: Mapping[str, Any], state: Mapping[str, Any], look: Mapping[str, Any]) -> None:
    """Whether needed services have answered lately, by the job `look`. The wait at the start counts as an answer."""
    every_s = next((program["every_s"] for program in plan["programs"] if program["name"] == "look"), 0.0)
    report.details.update(needs=look.get("needs", {}), measures=look.get("measures", []), looked_at=look.get("at"))
    if not every_s:
        return
    for need in plan.get("needs", ()):
        found = look.get("needs", {}).get(need["name"], {})
        silent_s = report.at - max(found.get("at") or 0.0, state.get("since", 0.0))
        if silent_s > max(LOOKS * every_s, LEAST_SILENCE_S):
            why = found["line"] if found and not found["ok"] else _last_asked(report, look)
            place = report.problems if need["required"] else report.warnings
            place.append(f"{need['name']} has not answered for {age(silent_s)}: {why}")
    _note_measures(report, look)


def _last_asked(report: Report, look: Mapping[str, Any]) -> str:
    when = f"has last ended {age(report.at - look['at'])} ago" if look else "has not ended yet"
    return f"the job look {when}; see the log"


def _note_measures(report: Report, look: Mapping[str, Any]) -> None:
    for value in look.get("measures", ()):
        if text := value["problem"] or value["warning"]:
            report.warnings.append(text)


def note_warnings(report: Report, plan: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    """A reload that was refused, and certificates that end soon."""
    reload = state.get("reload")
    report.details.update(reload=reload, certificates=[])
    if reload and not reload.get("ok"):
        report.warnings.append(f"the reload {age(report.at - reload['at'])} ago was refused: {reload['line']}")
    for path, expires in plan.get("expires", {}).items():
        days = (expires - report.at) / DAY_S
        report.details["certificates"].append({"file": path, "expires": expires, "days": round(days, 1)})
        if days < 0:
            report.warnings.append(f"the certificate {path} expired {age(-days * DAY_S)} ago")
        elif days <= CERTIFICATE_WARNING_DAYS:
            report.warnings.append(f"the certificate {path} expires in {age(days * DAY_S)}")


def is_plain(arguments: list[str]) -> bool:
    """Whether `entrypoint health` with these arguments needs no parser: known ones, and one depth at most."""
    known = {f"--{name}" for name in (*MODES, "json")}
    return known.issuperset(arguments) and sum(argument != "--json" for argument in arguments) < 2
