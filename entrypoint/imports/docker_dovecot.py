"""The older installation: its `.env` mostly has our names; what sed wanted, and what is told apart now, is mended."""

from __future__ import annotations

import re
from collections.abc import Mapping

from entrypoint.imports.docker_mailserver import kill
from entrypoint.imports.findings import Outcome, Rule, none, taken, translated, you
from entrypoint.imports.ours import BY_NAME, refusal
from entrypoint.imports.source import Source
from entrypoint.settings import kinds
from entrypoint.settings.schema import Var

BUILT = "images have Debian's packages; there is no version to choose"
LOGS = "all logs are on stderr (docker compose logs)"
OWN_USERS = "each image has its own user; vmail_uid is the one that can be chosen"
GONE: Mapping[str, str] = {
    "dovecot_branch": BUILT,
    "dovecot_tag": BUILT,
    "pigeonhole_branch": BUILT,
    "EXIM_VERSION": BUILT,
    "VMAIL_GROUP": OWN_USERS,
    "VMAIL_USER": OWN_USERS,
    "EXIM_EXTERNAL_LOG": LOGS,
    "EXIM_INT_MAILOUT_LOG": LOGS,
    "EXIM_EXT_MAILOUT_LOG": LOGS,
    "NEXTCLOUD_IP": "no service of the mail system; DNS_HOSTS=name=address tells its address to the others",
    "IMAP_REPLICA_SERVER_IP": "DNS_HOSTS=name=address tells an address to the services",
    "RSPAM_Clear_password": "what members move to Junk teaches nothing yet",
    "COMPOSE_HTTP_TIMEOUT": "Compose 2 has no such timeout",
}
# What means the same in both systems, and is not always taken.
SHARED: Mapping[str, Rule] = {"SA_KILL": kill}
COMPOSE = ("COMPOSE_PROJECT_NAME", "COMPOSE_PROFILES")


def rule(name: str) -> Rule:
    """What is done with a variable of the old `.env`."""
    if name in COMPOSE:
        return lambda _value, _source: you("Compose's own: it would choose what is started here, too")
    if name in GONE:
        return lambda _value, _source: none(GONE[name])
    if name in SHARED:
        return SHARED[name]
    v = BY_NAME.get(name)
    if v is None and name.endswith("_FILE") and name.removesuffix("_FILE") in BY_NAME:
        return lambda value, _source: taken(name, value)
    if v is None:
        return lambda _value, _source: you("not known: look it up")
    return lambda value, source: _known(name, v, value, source)


def _domain(value: str, source: Source) -> Outcome:
    """A name without a top level meant .de, and was part of the folders' names."""
    name = value.strip()
    if "." in name:
        return taken("DOMAIN", name)
    folders = {"VMAIL_DATA": "vmail", "REDIS_DATA": "redis", "RSPAM_DATA": "rspam"}
    kept = {v: f"/data/{name}/{folder}" for v, folder in folders.items() if v not in source.variables}
    return translated(f"{name} meant that; the folders stay where they are", DOMAIN=f"{name}.de", **kept)


def _holds_gateway(value: str, source: Source) -> bool:
    """Whether a network that may relay holds the container network's gateway, behind which all of the world may be."""
    try:
        gateway = kinds.container_network.parse(source.get("MAIL_NETWORK") or "172.20.0.0/16")[1]
        return any(kinds.holds(net, gateway) for net in kinds.networks.parse(value))
    except ValueError:
        return False


def _known(name: str, v: Var, value: str, source: Source) -> Outcome:
    if v.name == "DOMAIN":
        return _domain(value, source)
    reasons = [f"it is called {v.name} now"] if name != v.name else []
    text = value
    if "\\&" in value and ("FILTER" in name or "LDAP" in name):
        text = re.sub(r"\\+&", "&", value)
        reasons.append("& needs no backslash")
    elif value.startswith("~/"):
        return you(f"Compose puts no home folder in place of ~: write the whole path in {v.name}", **{v.name: value})
    if v.name == "EXIM_WHITELIST_NET" and _holds_gateway(value, source):
        return you("it must not hold the container network's gateway: name single hosts", **{v.name: value})
    if not refusal(v.name, text) and (note := v.kind.note(text)):
        reasons.append(note)
    if text == value and name == v.name:
        return taken(v.name, text, "; ".join(["the same here", *reasons]))
    return translated("; ".join(reasons), **{v.name: text})
