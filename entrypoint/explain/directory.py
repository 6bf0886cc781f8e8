"""The directory itself, asked with the filters of the settings, and without the group: who is there, and why not found.

The daemons' word counts; this says what is behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from entrypoint.errors import ProbeError, Unavailable
from entrypoint.plan import Probe
from entrypoint.probes import where
from entrypoint.probes.ldap import Entry, Search, directory
from entrypoint.quoting import ldap_filter
from entrypoint.settings.concerns import Ldap
from entrypoint.settings.ldap_filters import Pattern

T = TypeVar("T")

_SCOPES = {"base": "BASE", "one": "LEVEL", "sub": "SUBTREE"}


class Directory:
    """Questions to the first server of LDAP_HOSTS that answers, each in a session of its own."""

    def __init__(self, settings: object, probes: tuple[Probe, ...]) -> None:
        self._settings = settings
        self._probes = probes

    @property
    def settings(self) -> Ldap:
        assert isinstance(self._settings, Ldap)
        return self._settings

    def with_address(self, address: str) -> list[Entry]:
        """Everybody who has this address, in the group or not."""
        value = ldap_filter(address)
        names = (self.settings.ldap_mail_attribute, self.settings.ldap_alias_attribute)
        return self.found("(|" + "".join(f"({name}={value})" for name in names) + ")")

    def found(self, pattern: str, base: str = "", scope: str = "sub") -> list[Entry]:
        """The entries that a filter finds, with the attributes that the settings name."""
        return self._asked(
            lambda search: search(base or self.settings.ldap_base, pattern, _SCOPES[scope], self._attributes())
        )

    def is_member(self, entry: Entry) -> bool:
        """Whether the entry is in LDAP_GROUP, as the directory itself says."""
        pattern = f"(memberOf={ldap_filter(self.settings.ldap_group or '')})"
        return bool(self._asked(lambda search: search(entry.dn, pattern, "BASE", ())))

    def _attributes(self) -> tuple[str, ...]:
        s = self.settings
        return s.ldap_mail_attribute, s.ldap_alias_attribute

    def _asked(self, question: Callable[[Search], T]) -> T:
        """Unavailable, with all reasons, when none of the servers answers."""
        failures = []
        for probe in self._probes:
            try:
                with directory(probe) as search:
                    return question(search)
            except ProbeError as error:
                failures.append(f"{where(probe)}: {error}")
        raise Unavailable(f"cannot ask the directory: {'; '.join(failures)}")


def filled(pattern: Pattern, values: Mapping[str, str]) -> str:
    """The filter with names in the places of its placeholders."""
    return "".join(text if kind == "literal" else ldap_filter(values[text]) for kind, text in pattern.parts)


def names(login: str) -> dict[str, str]:
    """All placeholders of our filters, for one login or address."""
    local, _, domain = login.rpartition("@") if "@" in login else (login, "", "")
    parts = {"user|username": local, "user|domain": domain, "local_part": local, "domain": domain}
    return {"user": login, "login": login, "authenticated_id": login, **parts}
