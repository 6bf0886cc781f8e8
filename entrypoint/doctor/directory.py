"""`entrypoint doctor ldap`: the way to the directory and to one of its people, rung by rung (entrypoint.ladder)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from urllib.parse import urlsplit

from entrypoint.console import has_colour
from entrypoint.errors import Refused
from entrypoint.ladder import as_text, climb
from entrypoint.service import known_variables
from entrypoint.settings import concerns
from entrypoint.settings.kinds import dns_hosts
from entrypoint.settings.reading import read
from entrypoint.settings.schema import concern

IN_CONTAINERS = Path("/run/secrets")


@concern
class Asked(concerns.Members, concerns.Recipients, concerns.Senders, concerns.Exim, concerns.Common):
    """Everything that any service asks the directory."""


def main(env: Mapping[str, str], person: str, *, as_json: bool) -> int:
    """Print the rungs of each server; 1 when one does not hold, else 0."""
    settings = read(env, Asked, known=known_variables()).settings
    rungs = climb(replace(settings, ldap_ca=_authorities(env, settings.ldap_ca)), person, known=_known(env, settings))
    if as_json:
        print(json.dumps([{**asdict(rung), "result": rung.word} for rung in rungs], indent=2))
    else:
        print(as_text(rungs, coloured=has_colour()))
    return int(any(rung.ok is False for rung in rungs))


def _authorities(env: Mapping[str, str], file: str) -> str:
    """The file on this machine; in the containers, the one of TLS_CA_FILE has another name."""
    path = Path(file)
    if not path.is_relative_to(IN_CONTAINERS) or path.exists():
        return file
    if not env.get("TLS_CA_FILE"):
        raise Refused(f"cannot use LDAP_CA={file}: it is a file in containers; set TLS_CA_FILE to the one on the host")
    return env["TLS_CA_FILE"]


def _known(env: Mapping[str, str], settings: Asked) -> dict[str, str]:
    """What mail-dnsmasq knows, and DNS on the host may not."""
    found = dict(dns_hosts.parse(env.get("DNS_HOSTS", "")))
    if env.get("LDAP_IP"):
        found[urlsplit(settings.ldap_hosts[0]).hostname or ""] = env["LDAP_IP"]
    return found
