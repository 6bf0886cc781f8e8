"""All of the directory as one LDIF file, and back.

A backup is what slapd itself would load: everything, password hashes and times too, as it is at one moment. Its last
line says that it is complete. A restore is loaded beside the directory, looked at, and takes its place when slapd
starts again; the directory before is kept.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, TextIO

from entrypoint.accounts import dn
from entrypoint.accounts.directory import Directory, opened, own_settings
from entrypoint.accounts.setup import names
from entrypoint.check import run_all
from entrypoint.errors import EntrypointError, Refused, Unavailable
from entrypoint.plan import STATE_FILE
from entrypoint.service import Command, base_env
from entrypoint.services import ldap
from entrypoint.settings.schema import short

_HEAD = "# Postern's directory"
_END = re.compile(r"# complete: (\d+) entries")
_FILE = ldap.DATABASE_DIR / "restoring.ldif"
_RESTART_S = 60.0


def write(out: TextIO) -> None:
    """The backup; Refused when it could not be completed, and then its last line is missing."""
    settings = own_settings()
    dump = ["/usr/sbin/slapcat", "-o", "ldif-wrap=no", "-f", "/run/config/slapd.conf", "-b", settings.ldap_suffix]
    print(f"{_HEAD} {settings.ldap_suffix}, {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC. Keep it secret.", file=out)
    entries = 0
    with subprocess.Popen(dump, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stdout
        assert child.stderr
        for line in child.stdout:
            entries += line.startswith("dn:")
            out.write(line)
        words = child.stderr.read()
    if child.returncode:
        raise Refused(f"cannot read the directory: slapcat ended with {child.returncode}: {words.strip()[-500:]}")
    print(f"# complete: {entries} entries", file=out, flush=True)


def restore(source: BinaryIO) -> str:
    """Put a backup in the place of the directory; Refused, and nothing is changed, when it is no good."""
    with opened() as directory:
        settings = directory.settings
        try:
            _keep(source)
            entries = _look_at(_lines(_FILE), settings)
            run_all(_load(settings), base_env(settings), ())
            (ldap.LOADING_DIR / ldap.DATABASE.name).replace(ldap.RESTORED)
        finally:
            _FILE.unlink(missing_ok=True)
            shutil.rmtree(ldap.LOADING_DIR, ignore_errors=True)
        _start_again(directory)
    return f"{entries} entries are restored; the directory before is in {ldap.BEFORE_RESTORE}"


def _keep(source: BinaryIO) -> None:
    """What comes in, on the volume: there may be more of it than memory."""
    _FILE.unlink(missing_ok=True)
    descriptor = os.open(_FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            while piece := source.read(1 << 20):
                file.write(piece)
    except OSError as error:
        raise Refused(f"cannot keep the backup in {_FILE}: {error.strerror}") from None


def _lines(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", errors="replace") as stream:
        yield from stream


def _look_at(lines: Iterable[str], settings: ldap.Settings) -> int:
    """How many entries there are; Refused for what is no backup of this directory, or only a part of one."""
    first, entries, is_ours, promised = "", 0, False, -1
    for line in lines:
        is_ours = is_ours or line.startswith(_HEAD)
        if end := _END.match(line):
            promised = int(end[1])
        if line.lower().startswith("dn:"):
            entries += 1
        if entries == 1 and (not first or line.startswith(" ")):
            first += line
    found = next(iter(names(first)), ())
    if not found:
        raise Refused("cannot restore: this is no backup, as no line begins with dn:")
    if found != dn.same(settings.ldap_suffix):
        raise Refused(
            f"cannot restore: the backup is of {short(','.join('='.join(part) for part in found))}, and this directory "
            f"is {settings.ldap_suffix} (the dc=… of LDAP_BASE)"
        )
    if is_ours and promised != entries:
        raise Refused(
            f"cannot restore: the backup is not complete; it has {entries} entries"
            + (f" of {promised}" if promised >= 0 else ", and its last line is missing")
        )
    return entries


def _load(settings: ldap.Settings) -> tuple[Command, ...]:
    tool = ("-f", ldap.LOADING_CONFIG, "-b", settings.ldap_suffix)
    wanted = {"LDAP_BASE": settings.ldap_base, "LDAP_GROUP": settings.ldap_group}
    return (
        *ldap.empty_loading_dir(),
        Command(
            argv=(*ldap.SHARED, "/usr/sbin/slapadd", "-q", *tool, "-l", str(_FILE)),
            purpose="restore: the backup cannot be loaded",
            timeout_s=3600,
        ),
        *(
            Command(
                argv=("/usr/sbin/slapcat", *tool, "-s", name),
                purpose=f"restore: the backup must have {variable}={name}",
                refused_by=r"\A\s*\Z",
                timeout_s=600,
            )
            for variable, name in wanted.items()
        ),
    )


def _start_again(directory: Directory) -> None:
    """End slapd, which the supervisor starts again: then it takes what was restored."""
    pid = json.loads(STATE_FILE.read_text(encoding="utf-8"))["programs"]["slapd"]["pid"]
    print("the backup is good; slapd is started again with it", file=sys.stderr)
    if pid:
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + _RESTART_S
    while ldap.RESTORED.exists() or not _answers(directory):
        if time.monotonic() > end:
            raise Unavailable(
                f"cannot see slapd come back within {_RESTART_S:g} s: docker compose logs ldap; "
                f"the directory before is in {ldap.BEFORE_RESTORE}"
            )
        time.sleep(0.1)


def _answers(directory: Directory) -> bool:
    try:
        directory.connect_again()
    except EntrypointError:
        return False
    return True
