"""What to run, how to ask whether it is well, and when to give up: the only thing that the first
stage (settings, templates, waiting) hands to the second (supervising) and to the health check.

A plan is plain data, kept as JSON that only the service's user can read. It holds no secret: what
a probe has to know in secret it reads from a file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from entrypoint.probe import Probe

RUN_DIR = Path("/run/entrypoint")
PLAN_FILE = RUN_DIR / "plan.json"
STATE_FILE = RUN_DIR / "state.json"
LOOK_FILE = RUN_DIR / "look.json"
ENVIRONMENT_FILE = RUN_DIR / "environment.json"
SECRETS_DIR = RUN_DIR / "secrets"
LOOK_JOB = "look"  # the program of the plan that writes look.json
RELOAD_JOB = "reload"  # the program of the plan that runs for SIGHUP and for changed files
RUN = "RUN"  # as `reload` of a job: run it now

__all__ = ["Measure", "Need", "Plan", "Probe", "Program", "read_plan", "write_atomically", "write_plan"]


@dataclass(frozen=True, kw_only=True)
class Need:
    """A service that must answer before the daemon starts; one of its probes is enough.

    An optional need (`required=False`) is asked once and only reported.
    """

    name: str
    probes: tuple[Probe, ...]
    required: bool = True
    deadline_s: float = 120.0


@dataclass(frozen=True, kw_only=True)
class Program:
    """A command that the supervisor runs: its whole environment, when, and how its lines are read.

    `kind` is `daemon` (kept running), `once` (runs to its good end before what requires it starts)
    or `job` (runs every `every_s`, never twice at a time). What it `requires` comes first: a `once`
    that has ended well, a daemon that was started and whose `ready` probes have answered.

    `pipes` maps paths of FIFOs, made before the start, to the parser of what is written there,
    for daemons that insist on log files. `parser` reads stdout and stderr.

    `reload` is the signal (`HUP`) on which a daemon reads its files again; empty, or for changed
    files that match a pattern (fnmatch) of `restart_for`, it has to be started again for that.
    A job with `RUN` runs then, and others do not care.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    parser: str = "raw"
    pipes: Mapping[str, str] = field(default_factory=dict)
    kind: str = "daemon"
    requires: tuple[str, ...] = ()
    ready: tuple[Probe, ...] = ()
    every_s: float = 0.0  # of a job: from start to start
    limit_s: float = 0.0  # of a once or a job: a run that takes longer is ended; 0: as long as it likes
    stop_signal: str = "TERM"
    grace_s: float = 8.0  # below Docker's default of 10 s
    linger_s: float = 0.0  # at a stop: what its own children get to finish their work when it has ended
    reload: str = ""
    restart_for: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measure:
    """Something that is looked at now and then: for `health --deep`, for metrics, for a warning.

    `kind` says what and how (entrypoint.measures): `queue`, `room`, `signatures` of the folder `where`, `mailboxes` of
    that file; `redis-memory`, `round-trip` of the server that `probe` asks.
    """

    kind: str
    where: str = ""
    probe: Probe | None = None
    late_s: float = 3600.0  # queue: a message that waits longer is worth a warning


@dataclass(frozen=True, kw_only=True)
class Letter:
    """The message that `health --deep` sends to a member, and where it has to come out."""

    recipient: str  # empty: none is wanted
    entrance: Probe  # the SMTP server that takes it
    mailbox: tuple[str, ...]  # a command that speaks IMAP as the recipient, without a login


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that the supervisor, the health check and their like know of a service."""

    service: str
    version: str
    programs: tuple[Program, ...]
    probes: tuple[Probe, ...] = ()  # what the service itself must answer
    needs: tuple[Need, ...] = ()  # what was waited for, and is asked again now and then
    measures: tuple[Measure, ...] = ()
    letter: Letter | None = None
    watch: Mapping[str, str] = field(default_factory=dict)  # path → how it was when it was read
    expires: Mapping[str, float] = field(default_factory=dict)  # certificate's file → seconds since the epoch
    files: tuple[str, ...] = ()  # what was rendered and copied
    log_format: str = "console"  # or "json"
    log_level: str = "info"
    metrics_port: int = 0  # 0: none
    deaths_limit: int = 5  # so many deaths of one program …
    deaths_window_s: float = 60.0  # … within this time end the container

    def to_json(self) -> str:
        """The plan as indented JSON text."""
        return json.dumps(asdict(self), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan that `to_json` wrote."""
        data: dict[str, Any] = json.loads(text)
        return cls(
            **{
                **data,
                "programs": tuple(_program(p) for p in data["programs"]),
                "probes": _probes(data["probes"]),
                "needs": tuple(_need(n) for n in data["needs"]),
                "measures": tuple(_measure(m) for m in data["measures"]),
                "letter": _letter(data["letter"]) if data["letter"] else None,
                "files": tuple(data["files"]),
            }
        )


def _program(data: dict[str, Any]) -> Program:
    tuples = {name: tuple(data[name]) for name in ("argv", "requires", "restart_for")}
    return Program(**{**data, **tuples, "ready": _probes(data["ready"])})


def _probes(data: list[dict[str, Any]]) -> tuple[Probe, ...]:
    return tuple(Probe(**p) for p in data)


def _need(data: dict[str, Any]) -> Need:
    return Need(**{**data, "probes": _probes(data["probes"])})


def _measure(data: dict[str, Any]) -> Measure:
    return Measure(**{**data, "probe": Probe(**data["probe"]) if data["probe"] else None})


def _letter(data: dict[str, Any]) -> Letter:
    return Letter(**{**data, "entrance": Probe(**data["entrance"]), "mailbox": tuple(data["mailbox"])})


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """Replace `path` by a file with `text` and `mode`; readers see the old or the new, whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    aside.unlink(missing_ok=True)  # of an earlier process of this number, which PID 1 always has
    try:
        descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, mode)  # the umask must not decide
            file.write(text)
        aside.replace(path)
    except BaseException:
        aside.unlink(missing_ok=True)
        raise


def write_plan(plan: Plan, path: Path = PLAN_FILE) -> None:
    """Keep `plan` for the stages that follow."""
    write_atomically(path, plan.to_json())


def read_plan(path: Path = PLAN_FILE) -> Plan:
    """The plan of the running container; FileNotFoundError before the first stage has ended."""
    return Plan.from_json(path.read_text(encoding="utf-8"))


def keep_environment(env: Mapping[str, str], path: Path = ENVIRONMENT_FILE) -> None:
    """Keep what the container was started with: what a reload reads again, with its secrets."""
    write_atomically(path, json.dumps(dict(env)))


def kept_environment(path: Path = ENVIRONMENT_FILE) -> dict[str, str]:
    """What `keep_environment` has kept."""
    env: dict[str, str] = json.loads(path.read_text(encoding="utf-8"))
    return env
