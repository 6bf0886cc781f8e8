"""Whom a filter finds in the directory, and if it finds nobody, why: not there, not in the group, or something else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from entrypoint.errors import Unavailable
from entrypoint.explain.directory import Directory, filled, names
from entrypoint.explain.findings import BAD, GOOD, NOTE, UNKNOWN, Finding
from entrypoint.probes.ldap import Entry
from entrypoint.settings.ldap_filters import Pattern
from entrypoint.settings.schema import short

ADDRESSES = ("LDAP_BASE", "LDAP_MAIL_ATTRIBUTE", "LDAP_ALIAS_ATTRIBUTE")


@dataclass(frozen=True, kw_only=True)
class Filter:
    """A variable that says who is found, and where it searches."""

    variable: str
    pattern: Pattern
    base: str = ""
    scope: str = "sub"
    several: str = BAD  # what it is when more than one entry is found


@dataclass(frozen=True, kw_only=True)
class Examined:
    """Those that the filter finds, those that have the address, and what there is to say."""

    findings: tuple[Finding, ...]
    entries: tuple[Entry, ...] = ()


def examine(directory: Directory, service: str, name: str, by: Filter) -> Examined:
    """What the directory has under a name, asked with the filter and without it."""
    try:
        return _Examination(directory, service, name, by).result()
    except Unavailable as error:
        finding = Finding(service=service, step="directory", state=UNKNOWN, text=str(error), settings=("LDAP_HOSTS",))
        return Examined(findings=(finding,))


class _Examination:
    def __init__(self, directory: Directory, service: str, name: str, by: Filter) -> None:
        self.directory, self.service, self.name, self.by = directory, service, name, by
        self.group = directory.settings.ldap_group
        self.there = directory.with_address(name)
        self.found = directory.found(filled(by.pattern, names(name)), by.base, by.scope)

    def result(self) -> Examined:
        entries = tuple(self.found or self.there)
        if not entries:
            return Examined(findings=(self._nobody(),))
        members = [bool(self.group) and self.directory.is_member(entry) for entry in entries]
        findings = [self._is(entry) for entry in entries]
        if self.group:
            findings += [self._belongs(entry, each) for entry, each in zip(entries, members, strict=True)]
        findings += self._by_filter(outside=bool(self.group) and not all(members))
        return Examined(findings=tuple(findings), entries=entries)

    def _nobody(self) -> Finding:
        s = self.directory.settings
        where = f"{s.ldap_mail_attribute} or {s.ldap_alias_attribute} of any entry below {s.ldap_base}"
        return self._says("directory", BAD, f"nobody has {short(self.name)}: it is not in {where}", *ADDRESSES)

    def _is(self, entry: Entry) -> Finding:
        s = self.directory.settings
        primary = entry.of(s.ldap_mail_attribute)
        if _among(self.name, primary):
            text = f"{self.name} is the primary address of {entry.dn}"
        elif _among(self.name, entry.of(s.ldap_alias_attribute)):
            text = f"{self.name} is a further address of {entry.dn}, whose mailbox is {' '.join(primary) or 'nowhere'}"
        else:
            text = f"{self.name} is found as {entry.dn}, whose primary address is {' '.join(primary) or 'none'}"
        return self._says("directory", GOOD, text, *ADDRESSES[1:])

    def _belongs(self, entry: Entry, is_member: bool) -> Finding:
        if is_member:
            return self._says("group", GOOD, f"{entry.dn} is a member of {self.group}", "LDAP_GROUP")
        if self.found:
            text = f"{entry.dn} is not itself a member of {self.group}, but {self.by.variable} finds it all the same"
            return self._says("group", NOTE, text, "LDAP_GROUP", self.by.variable)
        text = f"{entry.dn} exists, but is not a member of {self.group}, so {self.by.variable} does not find it"
        return self._says("group", BAD, text, "LDAP_GROUP", self.by.variable)

    def _by_filter(self, *, outside: bool) -> Iterator[Finding]:
        variable = self.by.variable
        if len(self.found) > 1:
            dns = " and ".join(entry.dn for entry in self.found)
            text = f"{variable} finds {len(self.found)} entries where one is wanted: {dns}"
            yield self._says("filter", self.by.several, text, variable)
        elif self.found:
            yield self._says("filter", GOOD, "the filter finds it", variable)
        elif not outside:
            text = f"{variable} does not find it, since it asks for something else: {self.by.pattern}"
            yield self._says("filter", BAD, text, variable)

    def _says(self, step: str, state: str, text: str, *settings: str) -> Finding:
        return Finding(service=self.service, step=step, state=state, text=text, settings=settings, asked="LDAP")


def _among(name: str, values: tuple[str, ...]) -> bool:
    """As directories compare addresses: upper and lower case are the same."""
    return name.lower() in {value.lower() for value in values}
