"""slapd with sample members: for trying out and for tests, never for a real organisation's people."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrypoint.plan import Measure, Probe, Program
from entrypoint.service import Command, Service, base_env, secret_file
from entrypoint.settings import Secret, concern
from entrypoint.settings.concerns import Common, Directory, Tls

DATABASE_DIR = Path("/var/lib/ldap")
LOADING_DIR = DATABASE_DIR / "loading"
# What slapd makes belongs to group 0 as well, so that it may run as another user next time.
SHARED = ("/bin/sh", "-c", 'umask 007; exec "$0" "$@"')
URLS = "ldap://0.0.0.0:1389 ldaps://0.0.0.0:1636 ldapi://%2Frun%2Fldapi"


@concern
class Settings(Directory, Tls, Common):
    """What ldap is told."""


def programs(settings: Settings) -> tuple[Program, ...]:
    command = ("/usr/sbin/slapd", "-f", "/run/config/slapd.conf", "-h", URLS, "-d", "stats")
    # No reload: slapd reads its configuration and certificate when it starts, and that takes no time.
    return (Program(name="slapd", argv=(*SHARED, *command), env=base_env(settings), parser="slapd"),)


def probes(settings: Settings) -> tuple[Probe, ...]:
    """Whether it answers, in TLS. The certificate is compared with its own file: so this service need not know
    its authority, and one that was renewed but not loaded is noticed.
    """
    return (
        Probe(
            kind="ldap-root",
            host="127.0.0.1",
            port=1636,
            tls="tls",
            server_name=settings.directory_host,
            ca_file=settings.tls_certificate,
        ),
    )


def measures(settings: Settings) -> tuple[Measure, ...]:
    """The base, asked for as the mail system does, which is too much work for each health check."""
    question = replace(
        probes(settings)[0],
        kind="ldap",
        user=settings.ldap_user,
        password_file=secret_file("ldap-password"),
        query=settings.ldap_base,
    )
    return Measure(kind="round-trip", probe=question), Measure(kind="room", where=str(DATABASE_DIR))


def checks(_settings: Settings) -> tuple[Command, ...]:
    test = ("/usr/sbin/slaptest", "-u", "-f", "/run/config/slapd.conf")
    return (Command(argv=test, purpose="check slapd.conf, with LDAP_USER and LDAP_BASE in it"),)


def prepare(settings: Settings) -> tuple[Command, ...]:
    """Members for a new directory; the configuration is checked before, not to take its mistakes for theirs."""
    database = DATABASE_DIR / "data.mdb"
    return () if database.exists() else (*checks(settings), *_load(settings, database))


def _load(settings: Settings, database: Path) -> tuple[Command, ...]:
    """Load the members beside the database, and rename when complete: all of them or none."""
    tool = ("-f", "/run/config/loading.conf", "-b", settings.ldap_suffix)
    return (
        Command(argv=("rm", "-rf", str(LOADING_DIR)), purpose="remove what an interrupted load has left"),
        Command(argv=("mkdir", str(LOADING_DIR)), purpose=f"write to {DATABASE_DIR}"),
        Command(
            argv=(*SHARED, "/usr/sbin/slapadd", "-q", *tool, "-l", settings.ldap_members),
            purpose=f"load the members from LDAP_MEMBERS={settings.ldap_members}",
            timeout_s=600,
        ),
        Command(
            argv=("/usr/sbin/slapcat", *tool, "-s", settings.ldap_base),
            purpose=f"find LDAP_BASE={settings.ldap_base} in LDAP_MEMBERS={settings.ldap_members}",
            refused_by=r"\A\s*\Z",
        ),
        Command(argv=("mv", str(LOADING_DIR / database.name), str(database)), purpose="keep the members"),
        Command(argv=("rm", "-r", str(LOADING_DIR)), purpose="tidy up"),
    )


def context(settings: Settings) -> dict[str, Any]:
    return {
        "database_dir": str(DATABASE_DIR),
        "loading_dir": str(LOADING_DIR),
        "ldap_suffix": settings.ldap_suffix,
        "manager": f"cn=manager,{settings.ldap_suffix}",
        "ldap_password_hash": _hashed(settings.ldap_password),
    }


def _hashed(password: Secret) -> str:
    """The password in the form that slapd takes literally: one that begins with {x} would name a scheme.

    This hides nothing (the health check's file holds the password itself), so the salt is always
    the same, and so is the rendered file.
    """
    salt = b"postern"
    digest = hashlib.sha1(password.reveal().encode() + salt).digest()  # noqa: S324 - see above
    return "{SSHA}" + base64.b64encode(digest + salt).decode()


SERVICE = Service(
    name="ldap",
    image="ldap",
    writes=(str(DATABASE_DIR),),
    profile="demo",
    settings=Settings,
    programs=programs,
    probes=probes,
    measures=measures,
    prepare=prepare,
    checks=checks,
    context=context,
    secrets=lambda settings: {"ldap-password": settings.ldap_password},
    certificate_for=lambda settings: (settings.directory_host,),
)
