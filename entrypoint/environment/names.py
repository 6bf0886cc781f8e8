"""Names that nobody knows. Services find those that begin as ours do; in a file, also slips such as DOMIAN are seen.

Compose's and Docker's own names, those of a proxy or a shell, and what compose files of the folder or other values are
made of, are no mistakes, and neither is what resembles nothing of ours.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from entrypoint import service
from entrypoint.environment.case import Case, names_used_in, profiles
from entrypoint.environment.findings import Finding

_FOREIGN_BEGINNINGS = ("COMPOSE_", "DOCKER_", "BUILDKIT_", "BUILDX_", "PIP_", "LC_", "XDG_", "SSH_", "GIT_", "PYTHON")
_FOREIGN = frozenset(
    {"ALL_PROXY", "EDITOR", "FTP_PROXY", "HOME", "HOSTNAME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "LANGUAGE"}
    | {"LOGNAME", "NO_COLOR", "NO_PROXY", "PATH", "PWD", "SHELL", "SSL_CERT_DIR", "SSL_CERT_FILE", "TERM", "TMPDIR"}
    | {"GID", "UID", "USER", "PGID", "PUID", "UMASK"}
)
_ALIKE = 0.8
_BUILD = "build"  # the profile of what is only built


def findings(case: Case) -> Iterator[Finding]:
    """Names and profiles that are slips."""
    for name in case.env:
        if suggestion := _meant(case, name):
            yield case.error(f"{name} is not known: {suggestion}?", name)
    yield from _profiles(case)


def used_elsewhere(case: Case) -> set[str]:
    """Names that the person's own compose files, or other values, are made of."""
    assert case.file
    return names_used_in(case.compose_texts) | case.file.used


def _meant(case: Case, name: str) -> str:
    upper = name.upper()
    if name in case.known or not case.env[name] or name in used_elsewhere(case):
        return ""
    if upper in _FOREIGN or upper.startswith((*_FOREIGN_BEGINNINGS, *_our_beginnings(case))):
        return ""  # not ours; or ours, of which services speak
    ours = {spelling.upper(): spelling for spelling in case.known}
    near = [upper] if upper in ours else difflib.get_close_matches(upper, ours, n=1, cutoff=_ALIKE)
    return ours[near[0]] if near else ""


def _our_beginnings(case: Case) -> set[str]:
    return {f"{name.upper().split('_')[0]}_" for name in case.known if "_" in name}


def _profiles(case: Case) -> Iterator[Finding]:
    """A profile that nobody has starts nothing, and Compose does not say so."""
    known = {profile for name in service.names() for profile in service.find(name).profiles} | {_BUILD, "*"}
    used = {name for name in profiles(case.env) if name in known}
    for name in profiles(case.env):
        if name in known or any(name in text for text in case.compose_texts):
            continue
        near = difflib.get_close_matches(name, known, n=1)
        meant = f" ({near[0]}?)" if near else ""
        ours = ", ".join(sorted(known - {"*"}))
        text = f"COMPOSE_PROFILES has {name!r}{meant}, which no service is in: known are {ours}"
        say = case.warning if used else case.error
        yield say(text if used else f"{text}; nothing would be started", "COMPOSE_PROFILES")
