"""Runs in the exim image, with its Python and nothing else: start.py starts it, and reads what it prints.

JSON: {column: [{"own": ms, "cpu": ms, "wall": ms}, …]}.
"""

from __future__ import annotations

import json
import os
import re
import sys
import time
from pathlib import Path

PYTHON = "/opt/postern/venv/bin/python"
SERVICE = "exim-external"
INSTALL = Path("/opt/postern/install/exim")
FOLDER = Path("/tmp/start")  # noqa: S108  # a tmpfs of the container's own
OWN = FOLDER / "own"
TEMPLATES = 4
COLUMNS = ("entrypoint run", "sh, sed -i each", "sh, one sed", "Jinja script", "python -c pass")
# As /usr/local/bin/entrypoint, with two seams: nothing is waited for, and it ends where the execv would be.
OURS = """\
import os, resource, sys
sys.path += {path!r}
from entrypoint import cli, service

def end(_plan):
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("{own}", "w") as file:
        file.write(str((used.ru_utime + used.ru_stime) * 1000))
    os._exit(0)

def find(name, find=service.find):
    from entrypoint import boot
    boot.wait_for = lambda *_: None
    boot.become_supervisor = end
    return find(name)

service.find = find
sys.exit(cli.main(["run", "{service}"]))
"""
JINJA = """\
import os, jinja2
environment = jinja2.Environment(loader=jinja2.FileSystemLoader("{folder}/jinja"))
for name in os.listdir("{folder}/jinja"):
    text = environment.get_template(name).render(os.environ)
    with open(f"{folder}/{{name}}.conf", "w") as file:
        file.write(text)
"""


def main() -> None:
    """Measure in turn, every second run backwards; the first is not counted."""
    commands = prepare()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in commands}
    for run in range(int(sys.argv[1]) + 1):
        for name in list(commands)[:: -1 if run % 2 else 1]:
            found[name].append(cost(commands[name]))
    print(json.dumps({name: runs[1:] for name, runs in found.items()}))


def prepare() -> dict[str, list[str]]:
    """The commands by column, with the files that they need."""
    marked, count = with_marks(flat_template(INSTALL, f"{SERVICE}/run/config/exim.conf.j2"))
    (FOLDER / "jinja").mkdir(parents=True)
    (FOLDER / "marked").write_text(marked)
    lines = re.sub("@[0-9]+@", "{{ DOMAIN }}", marked.replace("{%", "").replace("{#", "")).splitlines(keepends=True)
    for number in range(TEMPLATES):
        part = lines[number * len(lines) // TEMPLATES : (number + 1) * len(lines) // TEMPLATES]
        (FOLDER / "jinja" / str(number)).write_text("".join(part))
    places = [place for place in sys.path if place.startswith("/opt/postern")]
    (FOLDER / "ours.py").write_text(OURS.format(path=["/opt/postern/lib", *places], own=OWN, service=SERVICE))
    (FOLDER / "jinja.py").write_text(JINJA.format(folder=FOLDER))
    each = [f'sed -i "s|@{number}@|$value|g" $out' for number in range(count)]
    one = ["sed -i \\", *(f'    -e "s|@{number}@|$value|g" \\' for number in range(count)), "    $out"]
    return {
        COLUMNS[0]: [PYTHON, "-IS", f"{FOLDER}/ours.py"],
        COLUMNS[1]: _shell("each", each),
        COLUMNS[2]: _shell("one", one),
        COLUMNS[3]: [PYTHON, f"{FOLDER}/jinja.py"],
        COLUMNS[4]: [PYTHON, "-c", "pass"],
    }


def _shell(name: str, lines: list[str]) -> list[str]:
    script = FOLDER / f"{name}.sh"
    head = ("set -eu", "value=mail.example.org", f"out={FOLDER}/{name}.conf", f"cp {FOLDER}/marked $out")
    script.write_text("\n".join([*head, *lines]) + "\n")
    return ["/bin/sh", str(script)]


def flat_template(root: Path, name: str) -> str:
    """A template with all that it extends and includes, one after the other."""
    text = (root / name).read_text(encoding="utf-8")
    parts = re.findall(r'{% (?:extends|include) "([^"]+)"', text)
    return text + "".join(flat_template(root, part) for part in parts)


def with_marks(template: str) -> tuple[str, int]:
    """The template with @0@, @1@, … for what jinja2 would fill in, and how many there are."""
    pieces = re.split(r"{{.*?}}", template)
    marked = "".join(f"@{n}@{piece}" if n >= 0 else piece for n, piece in enumerate(pieces, -1))
    return marked, len(pieces) - 1


def cost(command: list[str]) -> dict[str, float]:
    """CPU time of the process alone, CPU time with all that it has waited for, and time, in ms."""
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)]
    OWN.unlink(missing_ok=True)
    began = time.perf_counter()
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    wall = (time.perf_counter() - began) * 1000
    if status:
        sys.exit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    cpu = (usage.ru_utime + usage.ru_stime) * 1000
    return {"own": float(OWN.read_text()) if OWN.exists() else cpu, "cpu": cpu, "wall": wall}


if __name__ == "__main__":
    main()
