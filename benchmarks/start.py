"""What rendering a service's files costs at a container's start: CPU time, which neighbours disturb less.

Beside it: the interpreter that does nothing, and the shell entrypoint that one would write instead. That gets our own
templates as one text with as many placeholders, and fills them as such entrypoints mostly do, with one `sed -i` each,
or, at its best, with a single sed. It neither checks nor quotes anything.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.compare import Row, Say, Table, in_turn
from entrypoint.render import install_dir
from entrypoint.service import find
from tools.commands import ROOT
from tools.console import ToolError

SERVICE = "exim-external"
OURS = f"render {SERVICE}"
BARE = "python -c pass"


def measure(runs: int, say: Say) -> Table:
    """The CPU time of our rendering beside each reference."""
    with TemporaryDirectory() as name:
        commands = _commands(Path(name))
        times = in_turn({what: partial(cpu_ms, command) for what, command in commands.items()}, runs, say)
    return Table(suite="start", columns=list(times), rows=[Row(measure="CPU", unit="ms", values=times)])


def _commands(folder: Path) -> dict[str, list[str]]:
    """Ours and the references, by name, with the files that they need."""
    text, count = with_marks(flat_template(install_dir(find(SERVICE).image), f"{SERVICE}/run/config/exim.conf.j2"))
    (folder / "template").write_text(text)
    entrypoint, env_file = Path(sys.executable).with_name("entrypoint"), _env_file(folder)
    render = [str(entrypoint), "render", SERVICE, "--env-file", str(env_file), "--out", str(folder / "out")]
    return {
        OURS: render,
        BARE: [sys.executable, "-c", "pass"],
        f"sh, {count} times sed -i": _shell(
            folder, "many", [f'sed -i "s|@{n}@|$value|g" "$out"' for n in range(count)]
        ),
        f"sh, one sed for {count}": _shell(
            folder, "one", ["sed -i \\", *(f'    -e "s|@{n}@|$value|g" \\' for n in range(count)), '    "$out"']
        ),
    }


def _shell(folder: Path, name: str, lines: Sequence[str]) -> list[str]:
    """The command of a shell entrypoint with these lines."""
    script = folder / f"{name}.sh"
    head = ("set -eu", "value=mail.example.org", f"out={folder}/{name}.conf", f'cp {folder}/template "$out"')
    script.write_text("\n".join([*head, *lines]) + "\n")
    return ["/bin/sh", str(script)]


def _env_file(folder: Path) -> Path:
    """examples/minimal.env, with the secrets that it names."""
    text = (ROOT / "examples" / "minimal.env").read_text()
    for name in re.findall(r"^\w+=\./secrets/([\w-]+)$", text, re.MULTILINE):
        (folder / name).write_text("not-a-secret\n")
    path = folder / "env"
    path.write_text(text.replace("./secrets/", f"{folder}/"))
    return path


def flat_template(root: Path, name: str) -> str:
    """A template with all that it extends and includes, one after the other."""
    text = (root / name).read_text()
    parts = re.findall(r'{% (?:extends|include) "([^"]+)"', text)
    return text + "".join(flat_template(root, part) for part in parts)


def with_marks(template: str) -> tuple[str, int]:
    """The template with @0@, @1@, … for what jinja2 would fill in, and how many there are."""
    pieces = re.split(r"{{.*?}}", template)
    marked = "".join(f"@{n}@{piece}" if n >= 0 else piece for n, piece in enumerate(pieces, -1))
    return marked, len(pieces) - 1


def cpu_ms(command: list[str]) -> float:
    """User and system time of a command and everything that it has waited for."""
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)]
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    pid = os.posix_spawn(command[0], command, env, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise ToolError(f"cannot measure: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return (usage.ru_utime + usage.ru_stime) * 1000
