"""Sample members, and the directory that has them, as LDIF (RFC 2849)."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

SAFE = re.compile(r"[!-9;=-~][ -~]*(?<! )|")


@dataclass(frozen=True)
class Member:
    """A person in the directory; without `may_mail` not in the group of those who may use mail."""

    uid: str
    aliases: tuple[str, ...] = ()
    quota_mb: int | None = None
    may_mail: bool = True

    def address(self, domain: str) -> str:
        """The person's mail address, which is also the login."""
        return f"{self.uid}@{domain}"


SAMPLES = (
    Member("alice"),
    Member("bob", aliases=("info",), quota_mb=50),
    Member("carol", may_mail=False),
)


def directory(members: Iterable[Member], passwords: Mapping[str, str], *, domain: str, base: str, group: str) -> str:
    """The LDIF of the members, and of the group that they are in; what is above them a new directory has by itself.

    `passwords` are by uid, in the clear; the LDIF has them salted and hashed.
    """
    members = tuple(members)
    dns = {member.uid: f"uid={rdn(member.uid)},{base}" for member in members}
    entries = [
        *(person(member, dns[member.uid], passwords[member.uid], domain) for member in members),
        entry(
            group,
            objectClass=["groupOfNames"],
            cn=[value(group)],
            # A group must have a member (RFC 4519), if only the base, which is nobody.
            member=[dns[member.uid] for member in members if member.may_mail] or [base],
        ),
    ]
    return "\n".join(entries)


def person(member: Member, dn: str, password: str, domain: str) -> str:
    """A member's entry."""
    mail = {
        "mail": [member.address(domain)],
        "gosaMailAlternateAddress": [f"{alias}@{domain}" for alias in member.aliases],
        "gosaMailQuota": [] if member.quota_mb is None else [str(member.quota_mb)],
    }
    name = {"uid": [member.uid], "cn": [member.uid.capitalize()], "sn": [member.uid.capitalize()]}
    classes = ["inetOrgPerson", "gosaMailAccount"]
    return entry(dn, objectClass=classes, **name, **mail, userPassword=[hashed(password)])


def entry(dn: str, **attributes: list[str]) -> str:
    """One entry, with an empty line after it added by whoever joins entries with line breaks."""
    pairs = [("dn", dn), *((name, each) for name, values in attributes.items() for each in values)]
    return "".join(f"{line(name, content)}\n" for name, content in pairs)


def line(name: str, content: str) -> str:
    """`name: content`, or `name:: ` and base64 where content could be taken for something else."""
    if SAFE.fullmatch(content):
        return f"{name}: {content}"
    return f"{name}:: {base64.b64encode(content.encode()).decode()}"


def rdn(text: str) -> str:
    """The text as a value in a DN (RFC 4514): what has a meaning there, and the ends, in hexadecimal."""

    def escaped(match: re.Match[str]) -> str:
        return "".join(f"\\{byte:02x}" for byte in match[0].encode())

    return re.sub(r'^[ #]|[\\,+"<>;=\x00-\x1f]| $', escaped, text)


def value(dn: str) -> str:
    """The value of a DN's first part: `people` of `ou=people,dc=example,dc=test`."""
    return dn.partition(",")[0].partition("=")[2]


def hashed(password: str) -> str:
    """The password as directories keep it: {SSHA}, salted SHA-1, which every directory knows."""
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt).digest()  # noqa: S324  # nothing else is known everywhere
    return "{SSHA}" + base64.b64encode(digest + salt).decode()
