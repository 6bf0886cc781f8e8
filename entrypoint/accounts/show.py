"""Accounts and groups as tables for people, and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable

from entrypoint.accounts import dn
from entrypoint.accounts.directory import Account, Directory, Group
from entrypoint.console import GREEN, YELLOW, has_colour, table

_COLOURS = {"yes": GREEN, "no": YELLOW}


def accounts(found: Iterable[Account], *, machine: bool) -> str:
    """One row an account."""
    if machine:
        return json.dumps([_account(each) for each in found], ensure_ascii=False, indent=1)
    rows = [
        {
            "address": each.address,
            "name": each.name,
            "mail": "yes" if each.may_mail else "no",
            "quota": _quota(each.quota_mb),
            "aliases": " ".join(each.aliases),
            "groups": ", ".join(each.groups),
        }
        for each in found
    ]
    if not rows:
        return "nobody is there yet: entrypoint account add alice@example.org"
    heads = ("address", "name", "mail", "quota", "aliases", "groups")
    return table(heads, rows, right={"quota"}, colours=_COLOURS, coloured=has_colour())


def _account(account: Account) -> dict[str, object]:
    return {
        "address": account.address,
        "name": account.name,
        "aliases": list(account.aliases),
        "quota_mb": account.quota_mb,
        "may_mail": account.may_mail,
        "groups": list(account.groups),
        "dn": account.dn,
    }


def _quota(quota_mb: int | None) -> str:
    if quota_mb is None:
        return "default"
    if quota_mb == 0:
        return "no limit"
    return f"{quota_mb // 1024} GB" if quota_mb % 1024 == 0 else f"{quota_mb} MB"


def aliases(account: Account, *, machine: bool) -> str:
    """The further addresses, one a line."""
    return json.dumps(list(account.aliases)) if machine else "\n".join(account.aliases)


def groups(directory: Directory, name: str, *, machine: bool) -> str:
    """All groups, or the one with this name, with the addresses of their members."""
    addresses = {dn.same(account.dn): account.address for account in directory.accounts()}
    shown = [group for group in directory.groups() if not name or group.name.casefold() == name.casefold()]
    found = [(group, _members(group, addresses)) for group in shown]
    if machine:
        told = [{"name": group.name, "dn": group.dn, "members": members} for group, members in found]
        return json.dumps(told, ensure_ascii=False, indent=1)
    mail = dn.same(directory.mail_group)
    rows = [
        {
            "group": group.name,
            "for": "mail" if dn.same(group.dn) == mail else "",
            "members": str(len(members)),
            "who": " ".join(members),
        }
        for group, members in found
    ]
    return table(("group", "for", "members", "who"), rows, right={"members"}) if rows else f"there is no group {name}"


def _members(group: Group, addresses: dict[tuple[tuple[str, str], ...], str]) -> list[str]:
    """Addresses of the members; what is no account, such as nobody, is left out."""
    return sorted(found for member in group.members if (found := addresses.get(dn.same(member))))
