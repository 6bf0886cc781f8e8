"""The log of all services: from `docker compose logs`, a pipe or a file; and a line of it as fields.

What cannot be read twice is kept in a temporary file.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO, Any

from entrypoint.errors import Unavailable, UsageError
from entrypoint.logs.parsers import parser

# Not only the last lines, all containers, without colours and names in front.
LOGS = ("logs", "--no-color", "--no-log-prefix")
_LAST_WORDS_BYTES = 2000
_HEAD = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}) (?P<level>[a-z]{4,5}) {1,2}(?P<service>\S+) +(?P<program>\S+) +"
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_FIELD = re.compile(r'(?P<key>[a-z_]{1,30})=(?P<value>"(?:[^"\\]|\\.)*"|[^\s"]+)(?: |$)')
_FIELDS = re.compile(rf"(?:{_FIELD.pattern.replace('?P<key>', '?:').replace('?P<value>', '?:')})+")
# How the text of a program gets its prefix again, so that its parser knows what it reads.
_AGAIN = {
    "exim": ("exim-main", "{text}"),
    "dovecot": ("dovecot", "{process}: Info: {text}"),
    "rspamd": ("rspamd", "2000-01-01 00:00:00 #1({process}) <->; task; rspamd_task_write_log: {text}"),
}
_PROCESS = re.compile(r"(?P<process>[a-z][\w-]*): (?P<text>.*)$", re.DOTALL)


@contextmanager
def read_log(file: Path | None, project: str = "") -> Iterator[IO[bytes]]:
    """The log as a file that can be read again from its beginning; of a compose project, where one is named."""
    if file is not None and str(file) != "-":
        with _opened(file) as found:
            yield found
        return
    with tempfile.TemporaryFile(prefix="entrypoint-trace-") as kept:
        if file is not None or (not project and _is_piped(sys.stdin.fileno())):
            shutil.copyfileobj(sys.stdin.buffer, kept)
        else:
            _ask_compose(kept, project)
        yield kept


def _opened(file: Path) -> IO[bytes]:
    try:
        return file.open("rb")
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None


def _is_piped(descriptor: int) -> bool:
    """Whether somebody gives us a log; a terminal, nothing and /dev/null are none."""
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode) or stat.S_ISSOCK(mode)


def _ask_compose(kept: IO[bytes], project: str) -> None:
    """Write what the containers have logged to `kept`."""
    cure = "start it where docker-compose.yaml is, name a --project or a --file, or give it the log in a pipe"
    command = ("docker", "compose", *(("--project-name", project) if project else ()), *LOGS)
    with tempfile.TemporaryFile() as words:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=kept, stderr=words, check=False)
        except OSError:
            raise Unavailable(f"cannot read the log: there is no docker command here; {cure}") from None
        if done.returncode:
            words.seek(0)
            said = words.read(_LAST_WORDS_BYTES).decode(errors="replace").strip()
            raise Unavailable(f"cannot read the log: docker compose says: {said}; {cure}")


def event_of(line: bytes) -> dict[str, Any] | None:
    """The fields of a line, `time` in seconds; None where it is no line of ours."""
    text = line.decode("utf-8", "backslashreplace").rstrip("\r\n")
    begin = text.find("{")
    # Before it: nothing, or what compose puts there: a container's name, or a mark for terminals.
    before = _COLOUR.sub("", text[:begin]).rstrip() if begin > 0 else ""
    if begin >= 0 and (not before or before.endswith("|")):
        return _of_json(text[begin:])
    return _of_console(text)


def _of_json(text: str) -> dict[str, Any] | None:
    try:
        event = json.loads(text)
        event["time"] = datetime.fromisoformat(event["time"]).timestamp()
        known = all(isinstance(event[name], str) for name in ("service", "program", "event"))
    except (ValueError, LookupError, TypeError):
        return None
    return event if known else None


def _of_console(text: str) -> dict[str, Any] | None:
    """What a line for people still tells: its text is read again, and what stands behind it."""
    plain = _COLOUR.sub("", text)
    head = _HEAD.search(plain)
    if not head:
        return None
    told, fields = _split(plain[head.end() :])
    event = {**_again(head["program"], told), **fields}
    at = datetime.fromisoformat(head["time"]).timestamp()  # in this machine's time zone, as on the console
    return {**event, "time": at, "service": head["service"], "program": head["program"]}


def _split(body: str) -> tuple[str, dict[str, Any]]:
    """The text, and the fields that the console has added behind it."""
    text, gap, rest = body.rpartition("  ")
    if not gap or not _FIELDS.fullmatch(rest):
        return body, {}
    fields: dict[str, Any] = {found["key"]: found["value"].strip('"') for found in _FIELD.finditer(rest)}
    for name in ("score", "required", "size"):
        with suppress(KeyError, ValueError):
            fields[name] = float(fields[name]) if name != "size" else int(fields[name])
    return text, fields


def _again(program: str, text: str) -> dict[str, Any]:
    """The fields of a program's text, whose prefix is gone."""
    if program not in _AGAIN:
        return {"event": text}
    name, form = _AGAIN[program]
    found = _PROCESS.match(text) if "{process}" in form else None
    line = form.format(**(found.groupdict() if found else {"process": "unknown", "text": text}))
    return parser(name)(line)
