"""All that a stack needs around it: an authority, keys, passwords, a directory's content, and other hosts in DNS.

Made once in a folder, complete or not at all, and the same until the folder is removed: a stack can go and come again.
The folder is for its owner alone; containers get single files of it, which group 0 may read as they all run in it.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from ipaddress import IPv4Network
from pathlib import Path
from urllib.parse import quote

from entrypoint.errors import Refused
from tools.console import ToolError
from tools.demo import keys, people
from tools.demo.people import Member

OUTSIDE = "outside.test"
SINK = f"sink.{OUTSIDE}"
CLIENT = f"client.{OUTSIDE}"
SERVICES = ("imap", "mail", "smtp", "mailout", "smarthost", "ldap")
STACK_PASSWORDS = ("LDAP_PASSWORD",)
# The test virus of EICAR (eicar.org), which is no virus but 68 characters; in hexadecimal, so that scanners leave this
# file alone. A signature: its name, for any file, at any place.
EICAR = (
    "58354f2150254041505b345c505a58353428505e2937434329377d2445494341"
    "522d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a"
)
EICAR_NAME = "Test.EICAR"
EICAR_SIGNATURE = f"{EICAR_NAME}:0:*:{EICAR}\n"
# Strings of a TXT record have 255 bytes at most (RFC 1035); what reads the record joins them.
TXT_STRING = 255


@dataclass(frozen=True)
class World:
    """The folder with everything in it, and who lives there."""

    folder: Path
    domain: str
    members: tuple[Member, ...]

    @property
    def ca_file(self) -> Path:
        """The authority that clients have to trust."""
        return self.folder / "ca.pem"

    def password_file(self, uid: str) -> Path:
        """Where a member's password is."""
        return password_file(self.folder, uid)

    def password(self, uid: str) -> str:
        """A member's password."""
        return self.password_file(uid).read_text()

    def address(self, uid: str) -> str:
        """A member's address."""
        return next(member for member in self.members if member.uid == uid).address(self.domain)


def make_world(
    folder: Path,
    settings: Mapping[str, str],
    members: Sequence[Member] = people.SAMPLES,
    passwords: Mapping[str, str] | None = None,
) -> World:
    """The world for a stack with these settings, made in `folder` if it is not there.

    Passwords are made at random; `passwords` has those that shall be certain ones, by uid or by the name of the secret.
    ToolError where the folder has a world that was made for other settings.
    """
    world = World(folder, settings["DOMAIN"], tuple(members))
    wish = {"settings": relevant(settings), "members": [asdict(member) for member in members]}
    if folder.exists():
        require_same(folder, wish)
        return world
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    fill(new, settings, world.members, passwords or {})
    (new / "world.json").write_text(json.dumps(wish, indent=1))
    new.rename(folder)
    return world


def relevant(settings: Mapping[str, str]) -> dict[str, str]:
    """The settings that a world is made of."""
    names = ("DOMAIN", "MAIL_NETWORK", "EXIM_DKIM_SELECTOR", "LDAP_BASE", "LDAP_GROUP")
    return {name: settings[name] for name in (*names, *(name for name in sorted(settings) if name.endswith("_IP")))}


def require_same(folder: Path, wish: object) -> None:
    """ToolError where the folder's world is not the one that is wanted."""
    try:
        found = json.loads((folder / "world.json").read_text())
    except (OSError, ValueError):
        found = None
    if found != json.loads(json.dumps(wish)):
        raise ToolError(f"cannot use {folder}: it was made for other settings", "Remove it first: make demo-down")


def fill(folder: Path, settings: Mapping[str, str], members: Sequence[Member], given: Mapping[str, str]) -> None:
    """Make all the files."""
    for name in ("secrets", "members", "clamav.d", "dnsmasq.d", "hosts.d"):
        (folder / name).mkdir()
    passwords = {member.uid: given.get(member.uid) or password() for member in members}
    for uid, text in passwords.items():
        password_file(folder, uid).write_text(text)
    for name in {*STACK_PASSWORDS, *(given.keys() - passwords.keys())}:
        (folder / "secrets" / name).write_text(given.get(name) or password())
    base, group = settings["LDAP_BASE"], settings["LDAP_GROUP"]
    ldif = people.directory(members, passwords, domain=settings["DOMAIN"], base=base, group=group)
    (folder / "members.ldif").write_text(ldif)
    record = make_keys(folder, settings["DOMAIN"])
    (folder / "dnsmasq.d" / "outside.conf").write_text(dns_records(settings, record))
    (folder / "clamav.d" / "eicar.ndb").write_text(EICAR_SIGNATURE)
    open_for_containers(folder)


def password() -> str:
    """As hard to guess as a key, and without a character that a shell or a form could take for something else."""
    return secrets.token_hex(12)


def password_file(folder: Path, uid: str) -> Path:
    """Where a member's password is; the name is the uid, but for what cannot be in a file's name."""
    return folder / "members" / quote(uid, safe="")


def make_keys(folder: Path, domain: str) -> str:
    """The authority, the certificate that all services share, the DKIM key; returns its record for DNS."""
    try:
        keys.make_authority(folder, f"{domain} demo authority")
        keys.make_certificate(folder, names(domain))
        record = keys.make_dkim_key(folder)
    except Refused as error:
        raise ToolError(str(error)) from None
    for name in ("server.pem", "server.key", "dkim.key"):
        (folder / name).rename(folder / "secrets" / name)
    return record


def names(domain: str) -> list[str]:
    """What the certificate that all services share is for."""
    hosts = [*(f"{service}.{domain}" for service in SERVICES), SINK, "localhost"]
    # The last two are for clients on this machine, which find the services at published ports.
    return [*(f"DNS:{host}" for host in hosts), "IP:127.0.0.1"]


def dns_records(settings: Mapping[str, str], dkim_record: str) -> str:
    """The world outside as lines for dnsmasq: a domain with one mail server, and what others may know of us."""
    domain, selector = settings["DOMAIN"], settings["EXIM_DKIM_SELECTOR"]
    gateway = IPv4Network(settings["MAIL_NETWORK"])[1]
    sink, mailout = settings["SINK_IP"], settings["EXIM_EXT_MAILOUT_IP"]
    lines = (
        "# The world outside. What comes in through a published port comes from the network's gateway.",
        f"host-record={SINK},{sink}",
        f"host-record={CLIENT},{gateway}",
        f"mx-host={OUTSIDE},{SINK},10",
        txt(OUTSIDE, f"v=spf1 ip4:{sink} ip4:{gateway} -all"),
        "# What the world can know of us.",
        f"mx-host={domain},mail.{domain},10",
        txt(domain, f"v=spf1 ip4:{mailout} -all"),
        txt(f"_dmarc.{domain}", "v=DMARC1; p=reject; adkim=s; aspf=s"),
        txt(f"{selector}._domainkey.{domain}", dkim_record),
    )
    return "".join(f"{line}\n" for line in lines)


def txt(name: str, text: str) -> str:
    """dnsmasq's line for a TXT record."""
    strings = [text[start : start + TXT_STRING] for start in range(0, len(text), TXT_STRING)]
    return ",".join((f"txt-record={name}", *(f'"{string}"' for string in strings)))


def open_for_containers(folder: Path) -> None:
    """Let group 0 read what is mounted.

    Where this user's files are of another group, all may read: the folder, which is its owner's alone, is what keeps
    others of this machine out then.
    """
    readable = 0o640 if os.getegid() == 0 else 0o644
    for path in folder.rglob("*"):
        path.chmod(0o755 if path.is_dir() else readable)
    (folder / "ca.key").chmod(0o600)
