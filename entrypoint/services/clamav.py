"""clamav: clamd, which rspam asks about viruses, and freshclam, which keeps its signatures new.

With ENABLE_CLAMAV off nobody asks, and nothing is run.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from entrypoint.plan import Measure, Probe, Program
from entrypoint.service import Command, Service, base_env
from entrypoint.settings.concerns import FRESHCLAM_OFFICIAL, Clamav, Common, Size, VirusScan
from entrypoint.settings.schema import concern

PORT = 3310
LIBRARY = "/var/lib/clamav"
OWN = "/etc/postern/clamav.d"
CLAMD_CONFIG = "/run/config/clamd.conf"
# clamd's own default for what is unpacked out of a message.
_MAX_FILE = 100 * 1024**2
DAY_S = 86_400.0


@concern
class Settings(Common, Size, VirusScan, Clamav):
    """What clamav is told."""


def context(settings: Settings) -> Mapping[str, Any]:
    max_message = settings.message_size_limit + 1024**2
    return {
        "port": PORT,
        "library": LIBRARY,
        "official": FRESHCLAM_OFFICIAL,
        "max_message": max_message,
        "max_file": max(max_message, _MAX_FILE),
    }


def checks(settings: Settings) -> tuple[Command, ...]:
    return (
        # It reads its file before it tells its version, and says which line it does not understand.
        Command(argv=("/usr/sbin/clamd", f"--config-file={CLAMD_CONFIG}", "--version"), purpose="check clamd.conf"),
        # Millions of signatures take minutes.
        Command(argv=_signatures("check", settings), purpose="check the signatures", timeout_s=600),
    )


def _signatures(what: str, settings: Settings) -> tuple[str, ...]:
    """The command that does something with the signatures; see entrypoint.signatures."""
    source = "own" if settings.freshclam_mirror == "none" and not settings.freshclam_urls else "download"
    return (sys.executable, "-P", "-m", "entrypoint.signatures", what, source)


def programs(settings: Settings) -> tuple[Program, ...]:
    """The first signatures, then clamd and, now and then, newer ones.

    Folders that change give it to do: what changes in `reads` is taken over by the job, which tells clamd, and SIGHUP
    means nothing to a clamd without a log file.
    """
    env = base_env(settings)
    first = Program(name="first-signatures", kind="once", argv=_signatures("first", settings), env=env, parser="clamd")
    clamd = Program(
        name="clamd",
        argv=("/usr/sbin/clamd", f"--config-file={CLAMD_CONFIG}"),
        env=env,
        parser="clamd",
        requires=(first.name,),
        reload="HUP",
    )
    freshclam = Program(
        name="freshclam",
        kind="job",
        argv=_signatures("update", settings),
        env=env,
        parser="freshclam",
        requires=(first.name,),
        every_s=DAY_S / settings.freshclam_checks,
        limit_s=3600.0,
        reload="RUN",
    )
    return first, clamd, freshclam


def probes(_settings: Settings) -> tuple[Probe, ...]:
    return (Probe(kind="clamd", host="127.0.0.1", port=PORT),)


def measures(settings: Settings) -> tuple[Measure, ...]:
    """Room for the next signatures, and how old these are, where there are any that are published daily."""
    room = Measure(kind="room", where=LIBRARY)
    return (room,) if settings.freshclam_mirror == "none" else (room, Measure(kind="signatures", where=LIBRARY))


SERVICE = Service(
    name="clamav",
    image="clamav",
    profiles=("global",),
    settings=Settings,
    programs=programs,
    writes=(LIBRARY,),
    reads=(OWN,),
    probes=probes,
    measures=measures,
    checks=checks,
    context=context,
    wanted=lambda settings: settings.enable_clamav,
)
