"""rspam: rspamd's verdicts about messages, greylisting, Bayes, and viruses by way of clamav.

Debian's configuration stays as it is; ours is in the files of local.d that it reads after its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrypoint.plan import Measure, Need, Probe, Program
from entrypoint.service import Command, Service, base_env, secret_file
from entrypoint.settings import Secret
from entrypoint.settings.concerns import Common, Hosts, Rspam, Size, VirusScan
from entrypoint.settings.kinds import Address
from entrypoint.settings.schema import concern

SCAN_PORT = 11333
CONSOLE_PORT = 11334
CLAMAV_PORT = 3310
LOCAL = "/run/config"  # links in /etc/rspamd lead there
STATE = "/var/lib/rspamd"
_STEP = 0.01
REDIS_PASSWORD = "redis-password"  # noqa: S105  # a file's name

# Multimap rules of Debian's whose lists are on the internet, and what they get without it.
_PARTS = ("envfrom", "envrcpt", "from", "to", "cc", "replyto", "mdn")
OFFLINE_RULES = (
    ("redirector", "/etc/rspamd/maps.d/redirectors.inc"),
    *((f"freemail_{part}", f"{STATE}/maps.d/freemail_domains.map") for part in _PARTS),
    *((f"disposable_{part}", f"{STATE}/maps.d/disposable_domains.map") for part in _PARTS),
)


@concern
class Settings(Common, Hosts, Size, VirusScan, Rspam):
    """What rspam is told."""


def context(settings: Settings) -> Mapping[str, Any]:
    return {
        "level": "notice" if settings.log_level == "info" else settings.log_level,
        "max_message": settings.message_size_limit + 1024**2,
        "local_addresses": local_addresses(settings),
        "neighbours": [neighbour.split("=", 1) for neighbour in settings.rspam_neighbours],
        "redis_server": _at(settings.redis_ip, settings.redis_port),
        "redis_db": str(settings.rspam_redis_db),
        "clamav_server": _at(settings.clamav_ip, CLAMAV_PORT),
        "thresholds": thresholds(settings),
        "subject": f"{(settings.sa_spam_subject or '').replace('%', '%%')} %s",
        "offline_rules": OFFLINE_RULES,
    }


def local_addresses(settings: Settings) -> tuple[Address, ...]:
    """The services that send mail of our own."""
    return (
        settings.exim_external_ip,
        settings.exim_ext_mailout_ip,
        settings.exim_int_mailout_ip,
        settings.imap_ip,
    )


def thresholds(settings: Settings) -> Mapping[str, float]:
    """Scores of the actions, each a little above the one before, which rspamd insists on.

    Mail is greylisted from two thirds of the way to the mark, which is rspamd's own ratio.
    """
    mark = min(settings.sa_tag2, settings.sa_kill - _STEP)
    scores = {"reject": settings.sa_kill, "mark": mark, "below_mark": mark - _STEP, "greylist": min(mark, mark * 2 / 3)}
    return {action: round(score, 2) for action, score in scores.items()}


def _at(address: Address, port: int) -> str:
    return f"[{address}]:{port}" if address.version == 6 else f"{address}:{port}"


def prepare(_settings: Settings) -> tuple[Command, ...]:
    """Fill the volume: lists for people, and patterns compiled in the image, which else take rspamd 10 s and more."""
    copy = ("cp", "--recursive", "--update=none")
    return (
        Command(argv=(*copy, "/opt/postern/install/rspamd/maps.d", STATE), purpose=f"write the lists to {STATE}"),
        Command(argv=(*copy, "/opt/postern/hyperscan", STATE), purpose=f"write compiled patterns to {STATE}"),
    )


def checks(_settings: Settings) -> tuple[Command, ...]:
    # Not --strict, for which a server whose name DNS does not know right now is an error.
    # Reading all of Debian's rules takes seconds, and on a machine with much else to do a minute.
    test = ("/usr/bin/rspamadm", f"--var=LOCAL_CONFDIR={LOCAL}", "configtest")
    return (Command(argv=test, purpose="check rspamd's configuration", timeout_s=300),)


def programs(settings: Settings) -> tuple[Program, ...]:
    command = ("/usr/bin/rspamd", "-f")
    return (Program(name="rspamd", argv=command, env=base_env(settings), parser="rspamd", reload="HUP"),)


def probes(_settings: Settings) -> tuple[Probe, ...]:
    return tuple(Probe(kind="rspamd", host="127.0.0.1", port=port) for port in (SCAN_PORT, CONSOLE_PORT))


def needs(settings: Settings) -> tuple[Need, ...]:
    redis = Probe(
        kind="redis",
        host=str(settings.redis_ip),
        port=settings.redis_port,
        password_file=secret_file(REDIS_PASSWORD),
    )
    needed = (Need(name="mail-redis", probes=(redis,), deadline_s=settings.wait_s),)
    if not settings.enable_clamav:
        return needed
    # Its first database takes minutes to come; until then rspamd answers "try again later".
    clamav = Probe(kind="clamd", host=str(settings.clamav_ip), port=CLAMAV_PORT)
    return (*needed, Need(name="clamav", probes=(clamav,), required=False))


def secrets(settings: Settings) -> Mapping[str, Secret]:
    return {REDIS_PASSWORD: settings.redis_password}


SERVICE = Service(
    name="rspam",
    image="rspamd",
    profiles=("global",),
    settings=Settings,
    programs=programs,
    writes=(STATE,),
    reads=("/etc/postern/rspamd.d",),
    probes=probes,
    needs=needs,
    measures=lambda _settings: (Measure(kind="room", where=STATE),),
    checks=checks,
    prepare=prepare,
    context=context,
    secrets=secrets,
)
