"""The running directory, by its socket, as its own user: who is there, what is changed.

slapd takes the user of a local process from the kernel (SASL EXTERNAL), and gives all rights to its own user alone.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrypoint.accounts import dn
from entrypoint.errors import Refused, Unavailable
from entrypoint.plan import RUN_DIR, kept_environment
from entrypoint.quoting import ldap_filter
from entrypoint.service import known_variables
from entrypoint.services import ldap
from entrypoint.settings import read

SOCKET = "ldapi:///run/ldapi"
_PERSON = ["mail", "cn", "gosaMailAlternateAddress", "gosaMailQuota"]
_WAIT_S = 10

Changes = Mapping[str, tuple[str, Sequence[str]]]


@dataclass(frozen=True)
class Account:
    """A person with an address. `quota_mb`: 0 is no limit, None the default. `groups` are names, the mail group too."""

    dn: str
    address: str
    name: str
    aliases: tuple[str, ...]
    quota_mb: int | None
    may_mail: bool
    groups: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """A group, with the names of its members' entries."""

    dn: str
    name: str
    members: tuple[str, ...]


@contextmanager
def opened(settings: ldap.Settings | None = None) -> Iterator[Directory]:
    """The directory of this container, for one command alone; Unavailable when it does not run."""
    settings = settings or own_settings()
    with alone():
        directory = Directory(settings)
        directory.connect_again()
        yield directory


def own_settings() -> ldap.Settings:
    """What this container was started with."""
    try:
        env = kept_environment()
    except OSError as error:
        raise Unavailable(
            f"cannot ask the directory: {error.filename}: {error.strerror}; does ldap run here?"
        ) from None
    return read(env, ldap.Settings, known=known_variables()).settings


@contextmanager
def alone(folder: Path = RUN_DIR) -> Iterator[None]:
    """A time in which no other command reads or changes people."""
    descriptor = os.open(folder / "accounts.lock", os.O_RDWR | os.O_CREAT, 0o660)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _connection() -> Any:
    import ldap3
    from ldap3.core.exceptions import LDAPException

    connection = ldap3.Connection(
        ldap3.Server(SOCKET, get_info=ldap3.NONE, connect_timeout=_WAIT_S),
        authentication=ldap3.SASL,
        sasl_mechanism=ldap3.EXTERNAL,
        sasl_credentials=b"",
        check_names=False,
        raise_exceptions=True,
        receive_timeout=60,
    )
    try:
        connection.bind()
    except LDAPException as error:
        raise Unavailable(f"cannot ask the directory: {_said(error)}; does slapd run? (entrypoint status)") from None
    return connection


def _said(error: Exception) -> str:
    from ldap3.core.exceptions import LDAPOperationResult

    if isinstance(error, LDAPOperationResult):
        return f"{error.description} {error.message or ''}".strip()
    return str(error).splitlines()[0]


class Directory:
    """Searches and changes; Refused with slapd's words when it does not want one."""

    def __init__(self, settings: ldap.Settings) -> None:
        self.settings = settings
        self._connection: Any = None  # ldap3 has only some types
        self.mail_group = settings.ldap_group

    def connect_again(self) -> None:
        """Unavailable where slapd does not answer; Refused for another user than its own, who has no rights."""
        self._connection = _connection()
        who = self._connection.extend.standard.who_am_i() or ""
        if who.removeprefix("dn:") != ldap.manager(self.settings):
            raise Refused(
                f"cannot change the directory as uid {os.getuid()}: only the service's own user may; in the container "
                "or on the host, without another user: docker compose exec ldap entrypoint …"
            )

    # --- who is there

    def accounts(self, where: str = "(mail=*)") -> list[Account]:
        """All people with an address to whom the filter applies, sorted by address."""
        groups: dict[tuple[tuple[str, str], ...], list[Group]] = {}
        for group in self.groups():
            for member in group.members:
                groups.setdefault(dn.same(member), []).append(group)
        found = self._search(where, _PERSON)
        accounts = (self._account(name, values, groups.get(dn.same(name), [])) for name, values in found)
        return sorted(accounts, key=lambda account: account.address)

    def account(self, address: str) -> Account:
        """Who has this address, or this alias; Refused when nobody has."""
        found = self.accounts(having(address))
        if not found:
            raise Refused(
                f"cannot find {address}: nobody has this address; `entrypoint account list` shows who is there"
            )
        return found[0]

    def insist_on_free(self, address: str) -> None:
        """Refused when any entry has this address, as its own or as an alias."""
        for name, values in self._search(having(address), ["mail"]):
            owner = ", ".join(values.get("mail", [])) or name
            raise Refused(f"cannot give {address} to anybody: {owner} has it already")

    def groups(self) -> list[Group]:
        """All groups, sorted by name."""
        found = self._search("(objectClass=groupOfNames)", ["cn", "member"])
        made = [Group(name, _first(values, "cn"), tuple(values["member"])) for name, values in found]
        return sorted(made, key=lambda group: group.name)

    def group(self, name: str) -> Group | None:
        """The group with this name, or of all; without a name that of those who may use mail."""
        wanted = dn.same(self.group_dn(name))
        return next((group for group in self.groups() if dn.same(group.dn) == wanted), None)

    def group_dn(self, name: str) -> str:
        """Where a group is: beside that of those who may use mail, which has no name here."""
        return dn.joined("cn", name, dn.parent(self.mail_group)) if name else self.mail_group

    def _account(self, name: str, values: Mapping[str, list[str]], groups: Sequence[Group]) -> Account:
        quota = _first(values, "gosaMailQuota")
        return Account(
            dn=name,
            address=_first(values, "mail"),
            name=_first(values, "cn"),
            aliases=tuple(sorted(values.get("gosaMailAlternateAddress", []))),
            quota_mb=int(quota) if quota.isdecimal() else None,
            may_mail=any(dn.same(group.dn) == dn.same(self.mail_group) for group in groups),
            groups=tuple(group.name for group in groups),
        )

    def _search(self, where: str, attributes: Sequence[str]) -> list[tuple[str, Mapping[str, list[str]]]]:
        with _refusals("search the directory"):
            self._connection.search(self.settings.ldap_suffix, where, attributes=list(attributes))
        entries = (each for each in self._connection.response or () if each["type"] == "searchResEntry")
        return [(entry["dn"], _texts(entry["raw_attributes"])) for entry in entries]

    # --- what is changed

    def add(self, name: str, attributes: Mapping[str, Sequence[str]]) -> None:
        """A new entry."""
        with _refusals(f"add {name}"):
            self._connection.add(name, attributes={key: list(texts) for key, texts in attributes.items() if texts})

    def change(self, name: str, changes: Changes) -> None:
        """An entry's attributes: for each, `add`, `delete` or `replace`, and with what; all of it or nothing."""
        asked = {key: [(f"MODIFY_{verb.upper()}", list(texts))] for key, (verb, texts) in changes.items()}
        with _refusals(f"change {name}"):
            self._connection.modify(name, asked)

    def set_password(self, name: str, password: str) -> None:
        """slapd hashes it (RFC 3062). As bytes: a text would be normalised, and programs for mail do not do that."""
        with _refusals(f"set the password of {name}"):
            self._connection.extend.standard.modify_password(name, new_password=password.encode())

    def delete(self, name: str) -> None:
        """Without the entry."""
        with _refusals(f"remove {name}"):
            self._connection.delete(name)

    def join(self, group: Group, member: str) -> None:
        """Into the group."""
        self.change(group.dn, {"member": ("add", [member])})

    def leave(self, group: Group, member: str) -> None:
        """Out of the group. The last who leaves is replaced by nobody, as a group must have a member (RFC 4519)."""
        own = [each for each in group.members if dn.same(each) == dn.same(member)]
        is_last = len(own) == len(group.members)
        change = ("replace", [self.settings.ldap_base]) if is_last else ("delete", own)
        self.change(group.dn, {"member": change})


def having(address: str) -> str:
    """The filter that finds who has an address."""
    quoted = ldap_filter(address)
    return f"(|(mail={quoted})(gosaMailAlternateAddress={quoted}))"


@contextmanager
def _refusals(what: str) -> Iterator[None]:
    from ldap3.core.exceptions import LDAPException, LDAPOperationResult

    try:
        yield
    except LDAPOperationResult as error:
        raise Refused(f"cannot {what}: the directory says {_said(error)}") from None
    except LDAPException as error:
        raise Unavailable(f"cannot {what}: {_said(error)}") from None


def _texts(raw: Mapping[str, Any]) -> dict[str, list[str]]:
    return {name: [value.decode(errors="replace") for value in values] for name, values in raw.items() if values}


def _first(values: Mapping[str, list[str]], name: str) -> str:
    return next(iter(values.get(name, [])), "")
