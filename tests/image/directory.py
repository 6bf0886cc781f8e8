"""The directory and its members for the image tests of ldap and imap."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.containers import Container, container
from tools.demo.people import Member
from tools.demo.world import World, make_world

BASE = "ou=people,dc=example,dc=test"
GROUP = "cn=mail,ou=groups,dc=example,dc=test"
READER = "cn=postern,dc=example,dc=test"
HOST = "ldap.example.test"
# What sed, shells, LDAP, Dovecot and slapd each take for something else.
READER_PASSWORD = "{SSHA}/&\\|$%\"'{} #%{user}%%{x}$ENV:HOME<üß\\"
ALICE_PASSWORD = " /&\\|$%\"'{} #*()%{user}ü\\"
SETTINGS = {
    "DOMAIN": "example.test",
    "LDAP_USER": READER,
    "LDAP_BASE": BASE,
    "LDAP_GROUP": GROUP,
    "EXIM_LOCAL_DOMAINS": "example.test",
    "LDAP_PASSWORD_FILE": "/run/secrets/LDAP_PASSWORD",
    "LOG_FORMAT": "json",
}
MEMBERS = (
    Member("alice", aliases=("alias", "a.lice+x")),
    Member("bob", quota_mb=1),
    Member("carol", may_mail=False),
    Member("Unlimited", quota_mb=0),
    # Nobody may have such an address; if somebody does, it is no way into other folders.
    Member("../../../tmp/up", aliases=("up",)),
    Member("alice/Maildir", aliases=("inside",)),
)
_FOR_THE_WORLD = {"MAIL_NETWORK": "192.0.2.0/24", "EXIM_DKIM_SELECTOR": "x"} | {
    "SINK_IP": "192.0.2.99",
    "EXIM_EXT_MAILOUT_IP": "192.0.2.8",
}


def world_with_members(folder: Path, more: Sequence[Member] = ()) -> World:
    """Authority, certificate, passwords and LDIF."""
    passwords = {"LDAP_PASSWORD": READER_PASSWORD, "alice": ALICE_PASSWORD}
    return make_world(folder, SETTINGS | _FOR_THE_WORLD, (*MEMBERS, *more), passwords)


def mounted(world: World) -> dict[str, Path]:
    """The files that ldap and imap get."""
    secrets = world.folder / "secrets"
    return {
        "/run/secrets/ca": world.ca_file,
        "/run/secrets/letsencrypt-fullchain": secrets / "server.pem",
        "/run/secrets/letsencrypt-privkey": secrets / "server.key",
        "/run/secrets/LDAP_PASSWORD": secrets / "LDAP_PASSWORD",
        "/etc/postern/members.ldif": world.folder / "members.ldif",
    }


@contextmanager
def directory(
    world: World,
    changes: Mapping[str, str] | None = None,
    *,
    options: Sequence[str] = ("--user=5389:0",),
    files: Mapping[str, Path] | None = None,
) -> Iterator[Container]:
    """An ldap container with the members; in `changes` "" leaves a variable out."""
    env = {key: value for key, value in {**SETTINGS, **(changes or {})}.items() if value}
    mounts = {**mounted(world), **(files or {})}
    # Under its own name also where there is no DNS.
    more = (f"--add-host={HOST}:127.0.0.1", *options)
    with container("ldap", "run", "ldap", env=env, files=mounts, options=more) as started:
        yield started
