"""Files of the host, as containers will find them: readable for group 0, and secrets for nobody else.

Containers run in group 0 and see these files with their owner and mode. What this user may not look into is said, and
is no mistake.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from entrypoint.environment.case import Case
from entrypoint.environment.findings import Finding
from entrypoint.settings.concerns import Tls
from entrypoint.settings.schema import variables

CLOSED = "cannot be looked into by this user: run the check as root"


def findings(case: Case) -> Iterator[Finding]:
    """Secrets that others can read, or that containers cannot."""
    yield from _secrets(case)
    yield from _env_file(case)


def unusable(case: Case, name: str, services: list[str]) -> Iterator[Finding]:
    """Why there is nothing to look into."""
    path = case.host_file(name)
    if path is None:
        yield case.error(f"{name} is missing: {case.known[name].meaning}", name, services=services)
    elif why := trouble(path):
        say = case.warning if why == CLOSED else case.error
        yield say(f"{name}={case.value(name)} {why}", name, services=services)
    elif path.is_file() and path.stat().st_size == 0:
        yield case.error(f"{name}={case.value(name)} is empty", name, services=services)


def trouble(path: Path) -> str:
    """Why a file or folder cannot be read; "" when it can."""
    try:
        path.stat()
    except FileNotFoundError:
        return "does not exist on this machine"
    except PermissionError:
        return CLOSED
    except OSError as error:
        return f"cannot be used: {(error.strerror or 'it fails').lower()}"
    return "" if os.access(path, os.R_OK) else CLOSED


def secret_files(case: Case) -> dict[str, list[Path]]:
    """The files of the host with secrets, by the variable that names them."""
    found = {}
    for service in case.services:
        for v in variables(service.settings).values():
            for name in v.spellings() if v.secret else ():
                if name.endswith("_FILE") and "/" in case.env.get(name, ""):
                    found[name] = [case.path(case.env[name])]
    if case.with_settings(Tls) and (key := case.host_file("TLS_PRIVKEY_FILE")):
        found["TLS_PRIVKEY_FILE"] = [key]
    if case.value("EXIM_DKIM_SELECTOR") and (key := case.host_file("DKIM_PRIVKEY_FILE")):
        found["DKIM_PRIVKEY_FILE"] = sorted(key.glob("*.pem")) if key.is_dir() else [key]
    return found


def _secrets(case: Case) -> Iterator[Finding]:
    """Readable for group 0, which all containers are in, and for no other user of the host."""
    for name, paths in secret_files(case).items():
        for path in paths:
            if trouble(path) == CLOSED:
                if name not in {"TLS_PRIVKEY_FILE", "DKIM_PRIVKEY_FILE"}:  # told already
                    yield case.warning(f"{name}={path} {CLOSED}", name)
            elif path.is_file():
                yield from _mode(case, name, path)


def _mode(case: Case, name: str, path: Path) -> Iterator[Finding]:
    found = path.stat()
    if found.st_mode & stat.S_IROTH and is_open_to_all(path):
        text = f"{name}={path} can be read by every user of this machine: chgrp 0 {path}; chmod 640 {path}"
        yield case.warning(text, name)
    elif not found.st_mode & stat.S_IROTH and not (found.st_gid == 0 and found.st_mode & stat.S_IRGRP):
        text = f"{name}={path} cannot be read by group 0, which the containers run in: chgrp 0 {path}; chmod 640 {path}"
        yield case.error(text, name)


def is_open_to_all(path: Path) -> bool:
    """Whether the folders above let others come near."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


def _env_file(case: Case) -> Iterator[Finding]:
    """The file itself, when secrets are in it."""
    assert case.file
    path = case.file.path
    inside = [name for name, v in case.known.items() if v.secret and not name.endswith("_FILE") and case.env.get(name)]
    if inside and path.stat().st_mode & stat.S_IROTH and is_open_to_all(path):
        text = (
            f"{path} has secrets in it ({', '.join(sorted(inside))}) and can be read by every user of this machine: "
            f"chmod 640 {path}; or put each in a file of its own (NAME_FILE)"
        )
        yield case.warning(text, *inside)
