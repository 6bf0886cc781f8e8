"""slapd: the directory of an organisation that has no other one, and, with sample members, that of the demo.

An empty volume gets what every directory needs (entrypoint.accounts.setup) and the members of an LDIF file, if there is
one. From then on people are added and changed by `entrypoint account` and its sisters; a start changes nothing.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrypoint.accounts.setup import first_entries, given_members
from entrypoint.plan import Measure, Probe, Program
from entrypoint.service import Command, Service, base_env, secret_file
from entrypoint.settings import Secret, concern
from entrypoint.settings.concerns import MEMBERS, Common, Directory, LocalDomains, Tls

DATABASE_DIR = Path("/var/lib/ldap")
DATABASE = DATABASE_DIR / "data.mdb"
LOADING_DIR = DATABASE_DIR / "loading"
LOADING_CONFIG = "/run/config/loading.conf"
# What a restore leaves for the next start of slapd, and what was there before it.
RESTORED = DATABASE_DIR / "restored.mdb"
BEFORE_RESTORE = DATABASE_DIR / "before-restore.mdb"
# What slapd makes belongs to group 0 as well, so that it may run as another user next time.
SHARED = ("/bin/sh", "-c", 'umask 007; exec "$0" "$@"')
# Only while no slapd runs; and at no moment there is no database. The lock belongs to the database that goes.
TAKE_RESTORED = (
    f"if [ -e {RESTORED} ]; then rm -f {DATABASE_DIR}/lock.mdb"
    f" && ln -f {DATABASE} {BEFORE_RESTORE} && mv {RESTORED} {DATABASE}; fi"
)
URLS = "ldap://0.0.0.0:1389 ldaps://0.0.0.0:1636 ldapi://%2Frun%2Fldapi"


@concern
class Settings(Directory, LocalDomains, Tls, Common):
    """What ldap is told."""


def manager(settings: Settings) -> str:
    """The name of who may do everything: the service's own user, at the socket in the container."""
    return f"cn=manager,{settings.ldap_suffix}"


def programs(settings: Settings) -> tuple[Program, ...]:
    command = ("/usr/sbin/slapd", "-f", "/run/config/slapd.conf", "-h", URLS, "-d", "stats")
    start = ("/bin/sh", "-c", f'umask 007; {TAKE_RESTORED}; exec "$0" "$@"')
    # No reload: slapd reads its configuration and certificate when it starts, and that takes no time.
    return (Program(name="slapd", argv=(*start, *command), env=base_env(settings), parser="slapd"),)


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
    """A new directory; the configuration is checked before, not to take its mistakes for those of members."""
    return () if DATABASE.exists() else (*checks(settings), *_set_up(settings))


def _set_up(settings: Settings) -> tuple[Command, ...]:
    """Load the first entries beside the database, and rename when complete: all of them or none."""
    tool = ("-q", "-f", LOADING_CONFIG, "-b", settings.ldap_suffix)
    members = given_members(Path(settings.ldap_members), needed=settings.ldap_members != MEMBERS)
    entries = first_entries(settings, settings.domain, members)
    from_file = Command(
        argv=(*SHARED, "/usr/sbin/slapadd", *tool, "-l", settings.ldap_members),
        purpose=f"load the members from LDAP_MEMBERS={settings.ldap_members}",
        timeout_s=600,
    )
    return (
        *empty_loading_dir(),
        Command(
            argv=(*SHARED, "/usr/sbin/slapadd", *tool),
            purpose="set up an empty directory, with LDAP_BASE and LDAP_GROUP",
            stdin=entries,
        ),
        *((from_file,) if members.strip() else ()),
        Command(argv=("mv", str(LOADING_DIR / DATABASE.name), str(DATABASE)), purpose="keep the directory"),
        Command(argv=("rm", "-r", str(LOADING_DIR)), purpose="tidy up"),
    )


def empty_loading_dir() -> tuple[Command, ...]:
    """Where a database is loaded that is not in place yet."""
    return (
        Command(argv=("rm", "-rf", str(LOADING_DIR)), purpose="remove what an interrupted load has left"),
        Command(argv=("mkdir", str(LOADING_DIR)), purpose=f"write to {DATABASE_DIR}"),
    )


def context(settings: Settings) -> dict[str, Any]:
    return {
        "database_dir": str(DATABASE_DIR),
        "loading_dir": str(LOADING_DIR),
        "ldap_suffix": settings.ldap_suffix,
        "manager": manager(settings),
        "own_uid": os.getuid(),
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
    profiles=("demo", "directory"),
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
