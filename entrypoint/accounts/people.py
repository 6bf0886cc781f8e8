"""What the commands do: accounts, aliases, groups, quotas. Each says in a line what has become of it."""

from __future__ import annotations

import sys

from entrypoint.accounts import dn, words
from entrypoint.accounts.directory import Account, Directory, Group
from entrypoint.errors import EntrypointError, Refused

_CLASSES = ("inetOrgPerson", "gosaMailAccount")


def add(directory: Directory, address: str, password: str, *, name: str, quota: str, may_mail: bool) -> str:
    """A new account, which can be used when it is complete: the group comes last."""
    address = words.address(address)
    shown = words.person(name) if name else address.partition("@")[0]
    quota_mb = words.quota(quota)
    words.password(password)
    directory.insist_on_free(address)
    _warn_of_domain(directory, address)
    entry = dn.joined("uid", address, directory.settings.ldap_base)
    attributes = {"objectClass": _CLASSES, "uid": (address,), "cn": (shown,), "sn": (shown.split()[-1],)}
    directory.add(entry, attributes | {"mail": (address,), "gosaMailQuota": _quota(quota_mb)})
    try:
        directory.set_password(entry, password)
        if may_mail:
            directory.join(_mail_group(directory), entry)
    except EntrypointError:
        directory.delete(entry)
        raise
    return f"{address} is there and {'may use mail' if may_mail else 'may not use mail (--no-mail)'}"


def set_password(directory: Directory, address: str, password: str) -> str:
    """Another password, valid at once."""
    words.password(password)
    account = directory.account(words.address(address))
    directory.set_password(account.dn, password)
    return f"{account.address} has another password"


def remove(directory: Directory, address: str) -> str:
    """Out of all groups, which ends logins and deliveries, and out of the directory. The mailbox stays."""
    account = directory.account(words.address(address))
    _insist_on_primary(account, address)
    for group in directory.groups():
        if _is_member(group, account):
            directory.leave(group, account.dn)
    directory.delete(account.dn)
    return f"{account.address} is removed; {mailbox_stays(account.address)}"


def mailbox_stays(address: str) -> str:
    """Where the mail of somebody is who was removed."""
    local, _, domain = address.partition("@")
    return f"the mailbox stays where it is: /var/vmail/{domain}/{local} in imap, on its volume (VMAIL_DATA)"


def add_alias(directory: Directory, address: str, alias: str) -> str:
    """A further address."""
    account, alias = directory.account(words.address(address)), words.address(alias)
    directory.insist_on_free(alias)
    _warn_of_domain(directory, alias)
    directory.change(account.dn, {"gosaMailAlternateAddress": ("add", [alias])})
    return f"{account.address} gets the mail to {alias}, too"


def remove_alias(directory: Directory, address: str, alias: str) -> str:
    """Without a further address."""
    account, alias = directory.account(words.address(address)), words.address(alias)
    known = next((each for each in account.aliases if each.lower() == alias), "")
    if not known:
        has = f"has {', '.join(account.aliases)}" if account.aliases else "has none"
        raise Refused(f"cannot remove {alias}: it is no alias of {account.address}, which {has}")
    directory.change(account.dn, {"gosaMailAlternateAddress": ("delete", [known])})
    return f"{account.address} no longer gets the mail to {alias}"


def join(directory: Directory, address: str, name: str) -> str:
    """Into the group of those who may use mail, or into one with a name, which is made when it is not there."""
    account = directory.account(words.address(address))
    group = directory.group(words.group(name)) if name else _mail_group(directory)
    if group is None:
        group_dn = directory.group_dn(words.group(name))
        members = [directory.settings.ldap_base, account.dn]
        directory.add(group_dn, {"objectClass": ["groupOfNames"], "cn": [words.group(name)], "member": members})
        return f"{account.address} is in {words.group(name)}, a new group ({group_dn})"
    if _is_member(group, account):
        raise Refused(f"cannot add {account.address} to {group.name}: it is in that group already")
    directory.join(group, account.dn)
    return f"{account.address} is in {group.name}{'' if name else ' and may use mail'}"


def leave(directory: Directory, address: str, name: str) -> str:
    """Out of a group."""
    account = directory.account(words.address(address))
    group = directory.group(words.group(name)) if name else _mail_group(directory)
    if group is None or not _is_member(group, account):
        raise Refused(f"cannot remove {account.address} from {name or 'the mail group'}: it is not in that group")
    directory.leave(group, account.dn)
    return f"{account.address} is no longer in {group.name}{'' if name else ' and may not use mail'}"


def set_quota(directory: Directory, address: str, size: str) -> str:
    """Another quota; Dovecot takes it at the next login or delivery."""
    quota_mb = words.quota(size)
    account = directory.account(words.address(address))
    directory.change(account.dn, {"gosaMailQuota": ("replace", _quota(quota_mb))})
    return f"{account.address} has {shown_quota(quota_mb)}"


def shown_quota(quota_mb: int | None) -> str:
    """A quota in words."""
    if quota_mb is None:
        return "the default quota"
    if quota_mb == 0:
        return "no limit"
    return f"a quota of {quota_mb // 1024} GB" if quota_mb % 1024 == 0 else f"a quota of {quota_mb} MB"


def _quota(quota_mb: int | None) -> list[str]:
    return [] if quota_mb is None else [str(quota_mb)]


def _mail_group(directory: Directory) -> Group:
    group = directory.group("")
    if group is None:
        raise Refused(
            f"cannot find the group of those who may use mail, LDAP_GROUP={directory.mail_group}: the directory has no "
            "such group; was LDAP_GROUP another one when it was set up?"
        )
    return group


def _is_member(group: Group, account: Account) -> bool:
    return any(dn.same(member) == dn.same(account.dn) for member in group.members)


def _insist_on_primary(account: Account, address: str) -> None:
    """Whoever removes an account shall know whose it is."""
    if words.address(address) != account.address.lower():
        raise Refused(
            f"cannot remove {words.address(address)}: it is an alias of {account.address}; "
            f"entrypoint alias remove {account.address} {words.address(address)}, or remove {account.address} itself"
        )


def _warn_of_domain(directory: Directory, address: str) -> None:
    domain = address.rpartition("@")[2]
    known = directory.settings.exim_local_domains
    if domain not in known:
        print(
            f"warning: {domain} is not in EXIM_LOCAL_DOMAINS ({', '.join(known)}): no mail for {address} is taken",
            file=sys.stderr,
        )
