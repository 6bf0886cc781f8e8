"""Folders of the host and volumes that containers write in."""

from __future__ import annotations

import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from entrypoint.environment.case import COMPOSE, Case
from entrypoint.environment.files import CLOSED, trouble
from entrypoint.environment.findings import Finding

# As in docker-compose.yaml: the folders that a container writes in, with its service.
WRITTEN: Mapping[str, str] = {
    "VMAIL_DATA": "imap",
    "REDIS_DATA": "mail-redis",
    "PASSWORDS_DATA": "mail-redis",
    "RSPAM_DATA": "rspam",
    "CLAMAVLIB": "clamav",
    "EXIM_EXTERNAL_SPOOL": "exim-external",
    "EXIM_INT_MAILOUT_SPOOL": "exim-int-mailout",
    "EXIM_EXT_MAILOUT_SPOOL": "exim-ext-mailout",
    "LDAP_DATA": "ldap",
    "FETCHMAIL_DATA": "fetchmail",
}
READ: Mapping[str, str] = {
    "CLAMAV_SIGNATURES_DIR": "clamav",
    "DNSMASQ_HOSTS_DIR": "mail-dnsmasq",
    "DNSMASQ_CONFIG_DIR": "mail-dnsmasq",
    "LDAP_MEMBERS_FILE": "ldap",
}
# The named volumes of docker-compose.yaml.
VOLUMES = frozenset(
    {
        "vmail",
        "redis",
        "passwords",
        "rspam",
        "clamav",
        "exim-external",
        "exim-int-mailout",
        "exim-ext-mailout",
        "ldap",
        "fetchmail",
    }
)


def findings(case: Case) -> Iterator[Finding]:
    """Folders that are not there, or in which group 0 may not write."""
    folders = {}
    for name, service in WRITTEN.items():
        text = _place(case, name) if case.has_work(service) else ""
        if is_folder(text):
            folders[name] = case.path(text)
        elif text and text not in _volumes(case):
            known = ", ".join(sorted(VOLUMES))
            said = f"{name}={text} is no path, and no volume of {COMPOSE}: write ./{text}, or one of {known}"
            yield case.error(said, name, services=(COMPOSE,))
    yield from _unfit(case, folders)
    yield from _unread(case)


def _unread(case: Case) -> Iterator[Finding]:
    for name, service in READ.items():
        if case.has_work(service) and case.is_given(name) and not case.path(case.value(name) or "").exists():
            text = f"{name}={case.value(name)} does not exist on this machine: Docker would make an empty folder of it"
            yield case.warning(text, name, services=(service,))


def _place(case: Case, name: str) -> str:
    """The folder or volume; the defaults are below DOMAIN as it is written."""
    return str(case.value(name) or "").replace("$DOMAIN", case.env.get("DOMAIN", ""))


def is_folder(text: str) -> bool:
    """Whether Compose takes this for a path, not for the name of a volume."""
    return text[:1] in {"/", ".", "~"}


def _volumes(case: Case) -> set[str]:
    """Those of our compose file, and the keys of the person's own."""
    return set(VOLUMES) | {line.strip().rstrip(":") for text in case.compose_texts for line in text.splitlines()}


def _unfit(case: Case, folders: Mapping[str, Path]) -> Iterator[Finding]:
    """One sentence for all that need the same, with the command. A folder that this user cannot see is not judged."""
    absent = {name: path for name, path in folders.items() if trouble(path) not in {"", CLOSED}}
    there = {name: path for name, path in folders.items() if not trouble(path)}
    files = {name: path for name, path in there.items() if not path.is_dir()}
    closed = {name: path for name, path in there.items() if path.is_dir() and not _may_write(path, _uid(case, name))}
    if absent:
        told, paths = _listed(absent, "does not exist", "do not exist"), " ".join(map(str, absent.values()))
        cure = f"install -d -g 0 -m 770 {paths}"
        yield _about(case, absent, f"{told}, and Docker would make what is missing for root alone: {cure}")
    if closed:
        told, paths = _listed(closed, "is", "are"), " ".join(map(str, closed.values()))
        cure = f"chgrp -R 0 {paths}; chmod -R g+rwX {paths}"
        yield _about(case, closed, f"{told} not writable for group 0, which the containers run in: {cure}")
    for name, path in files.items():
        yield case.error(f"{name}={path} is no folder", name, services=(WRITTEN[name],))


def _listed(folders: Mapping[str, Path], one: str, several: str) -> str:
    return f"{', '.join(folders)} {one if len(folders) == 1 else several}"


def _about(case: Case, folders: Mapping[str, Path], text: str) -> Finding:
    given = [name for name in folders if case.is_given(name)] or [*folders, "DOMAIN"]
    return case.warning(text, *given, services=[WRITTEN[name] for name in folders])


def _uid(case: Case, name: str) -> int | None:
    """Who the container runs as, where a setting says it."""
    uid: int | None = case.value("vmail_uid") if WRITTEN[name] == "imap" else None
    return uid


def _may_write(path: Path, uid: int | None) -> bool:
    found = path.stat()
    wanted = stat.S_IWOTH | stat.S_IXOTH
    rights = found.st_mode & wanted
    if found.st_gid == 0:
        rights |= (found.st_mode >> 3) & wanted
    if uid is not None and found.st_uid == uid:
        rights |= (found.st_mode >> 6) & wanted
    return rights == wanted
