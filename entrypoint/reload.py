"""The job `reload`: the files made anew, checked aside, put in place; or nothing changed, and the reason told.

read → look at files → render aside → check → compare → replace → reload.json, which says to the supervisor
what its programs need: the signal on which they read their files again, or a restart. The settings are those that
the container was started with; what can be new are files of others: secrets, certificates, keys, folders.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import structlog

from entrypoint.aside import check_aside
from entrypoint.boot import Made, make
from entrypoint.errors import EntrypointError
from entrypoint.logs import configure
from entrypoint.plan import RUN, RUN_DIR, Plan, Program, kept_environment, read_plan, write_atomically, write_plan
from entrypoint.render import Files, write_tree
from entrypoint.service import Service, find

log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of it, for the supervisor and for people."""

    line: str
    actions: Mapping[str, str]
    code: int = 0

    def write(self, path: Path) -> None:
        """Leave it in `path`."""
        told = {"at": time.time(), "ok": self.code == 0, "line": self.line, "actions": dict(self.actions)}
        write_atomically(path, json.dumps(told))


def main(run_dir: Path = RUN_DIR, root: Path = Path("/")) -> int:
    """Reload the service of the plan in `run_dir`, whose files are below `root`; the exit code."""
    result = _result(run_dir, root)
    result.write(run_dir / "reload.json")
    return result.code


def _result(run_dir: Path, root: Path) -> Result:
    configure("json")
    try:
        before = read_plan(run_dir / "plan.json")
        env = kept_environment(run_dir / "environment.json")
        return reload(find(before.service), env, before, run_dir, root)
    except EntrypointError as error:
        log.error("reload refused, everything stays as it was", why=str(error))  # noqa: TRY400  # it is no bug
        return Result(line=" ".join(str(error).split()), actions={}, code=error.exit_code)
    except Exception:
        log.exception("a bug in entrypoint")
        line = f"a bug in entrypoint: {traceback.format_exc().splitlines()[-1]}"
        return Result(line=line, actions={}, code=EntrypointError.exit_code)


def reload(service: Service[Any], env: Mapping[str, str], before: Plan, run_dir: Path, root: Path) -> Result:
    """Put in place what is new and good. EntrypointError, and nothing is changed, when it is no good."""
    made = make(service, env, log_format="json")
    service = made.service
    files, gone = differences(made.files, before.files, root)
    changed = [*map(str, files), *gone, *_folders(service, before, made)]
    if changed:
        check_aside(service, made.settings, made.files, run_dir / "aside")
        log.info("the new files are good", changed=" ".join(changed))
    replace(files, gone, root)
    write_plan(made.plan, run_dir / "plan.json")
    return _told(changed, actions(made.plan.programs, changed))


def differences(files: Files, before: Iterable[str], root: Path) -> tuple[Files, list[str]]:
    """The files whose text is another one below `root`, and the names of those that are no longer wanted."""
    new = {path: text for path, text in files.items() if _text(root / path.relative_to("/")) != text}
    return new, sorted(set(before) - set(map(str, files)))


def _text(path: Path) -> str | None:
    try:
        return path.read_bytes().decode(errors="surrogateescape")
    except OSError:
        return None


def _folders(service: Service[Any], before: Plan, made: Made) -> list[str]:
    """The folders that the daemon reads itself and that are not as they were."""
    return [folder for folder in service.reads if before.watch.get(folder) != made.plan.watch[folder]]


def replace(files: Files, gone: Iterable[str], root: Path) -> None:
    """Put files in place below `root`, each at once, and remove others."""
    write_tree(files, root)
    for path in gone:
        (root / path.lstrip("/")).unlink(missing_ok=True)


def actions(programs: Iterable[Program], changed: Collection[str]) -> dict[str, str]:
    """What each daemon needs to take what has changed: its signal, or `restart`; and jobs that are to `RUN`."""
    concerned = (program for program in programs if program.kind == "daemon" or program.reload == RUN)
    return {program.name: _action(program, changed) for program in concerned} if changed else {}


def _action(daemon: Program, changed: Collection[str]) -> str:
    fits = any(fnmatch(path, pattern) for path in changed for pattern in daemon.restart_for)
    return "restart" if fits or not daemon.reload else daemon.reload


def _told(changed: Collection[str], done: Mapping[str, str]) -> Result:
    if not changed:
        log.info("nothing has changed")
        return Result(line="nothing has changed", actions={})
    words = {"restart": "is restarted", RUN: "runs"}
    what = ", ".join(f"{name} {words.get(how) or f'gets SIG{how}'}" for name, how in done.items())
    line = f"changed: {' '.join(changed)}"
    return Result(line=f"{line}; {what}" if what else line, actions=done)


if __name__ == "__main__":
    sys.exit(main())
