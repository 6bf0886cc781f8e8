"""`entrypoint doctor env OLD`: what has become of the variables of an older `.env`, and what to write instead.

The file is read as it stands, also where Compose would refuse it: it comes from another time, and often from programs
that took a dollar sign as it is.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from entrypoint.console import DIM, RED, YELLOW, has_colour, table
from entrypoint.doctor.records import Known
from entrypoint.errors import Refused, SettingsError
from entrypoint.init.env_text import assignment
from entrypoint.service import known_variables
from entrypoint.settings.reading import read
from entrypoint.settings.schema import Var, short

RENAMED, CHANGED, REFUSED, UNUSED, GONE, UNKNOWN = "renamed", "changed", "refused", "no effect", "gone", "unknown"
_COLOURS = {"renamed": YELLOW, "changed": YELLOW, "refused": RED, "no": DIM, "gone": YELLOW, "unknown": RED}
_LINE = re.compile(r"(?:export\s+|-\s+)?([A-Za-z_]\w*)\s*[=:]\s?(.*)", re.ASCII)
_INTERPOLATED = re.compile(r"(?<!\$)(?:\$\$)*\$[A-Za-z_{]")
_SED = re.compile(r"\\+&")
_OWN_OF_COMPOSE = "COMPOSE_"

# What other mail systems call so, and what does its work here.
_ALWAYS = "nothing has to be set: rspamd does it"
_NONE = "there is no such thing here: remove it"
_GONE = {
    "ENABLE_SPAMASSASSIN": _ALWAYS,
    "ENABLE_RSPAMD": _ALWAYS,
    "ENABLE_OPENDKIM": "set EXIM_DKIM_SELECTOR for signatures; rspamd looks at those of others",
    "ENABLE_OPENDMARC": _ALWAYS,
    "ENABLE_POLICYD_SPF": _ALWAYS,
    "ENABLE_AMAVIS": _ALWAYS,
    "ENABLE_QUOTAS": "nothing has to be set: MAILBOX_SIZE_LIMIT, and the directory's own",
    "ENABLE_LDAP": "nothing has to be set: people are always in the directory",
    "ENABLE_SASLAUTHD": "nothing has to be set: logins are asked in the directory",
    "ENABLE_IMAP": "nothing has to be set: IMAP is there",
    "ENABLE_SRS": _NONE,
    "ENABLE_FETCHMAIL": "set COMPOSE_PROFILES=local,global,fetchmail and FETCHMAIL_ACCOUNTS_FILE",
    "FETCHMAIL_PARALLEL": "nothing has to be set: mailboxes are fetched side by side",
    "ENABLE_UPDATE_CHECK": _NONE,
    "ONE_DIR": "each service has its own folder: VMAIL_DATA, …",
    "SSL_TYPE": "set TLS_FULLCHAIN_FILE and TLS_PRIVKEY_FILE",
    "PERMIT_DOCKER": "name the hosts that may relay: EXIM_RELAY_HOSTS, EXIM_WHITELIST_NET",
    "LOGROTATE_INTERVAL": "there is nothing to rotate: logs are on stderr, and Docker keeps them",
}


@dataclass(frozen=True)
class Finding:
    """One variable that is not taken as it is. `write` is the line for the new file; "" when there should be none."""

    what: str
    line: int
    name: str
    told: str
    write: str = ""


@dataclass(frozen=True)
class _Given:
    line: int
    name: str
    value: str
    bare: bool  # without quotes


def main(old: Path, *, as_json: bool) -> int:
    """Print what is not taken as it is; 1 when there is something, else 0."""
    given = list(_read(old))
    found = [finding for each in given if (finding := _look(each)) is not None]
    found += _between(given, {finding.name for finding in found if finding.what == REFUSED})
    found.sort(key=lambda finding: finding.line)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        print(_as_text(found, len(given)))
    return int(bool(found))


def _read(path: Path) -> Iterator[_Given]:
    """Assignments with their lines; Refused when the file cannot be read."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"cannot read {path}: not UTF-8 text at byte {error.start}") from None
    for number, line in enumerate(lines, 1):
        if (match := _LINE.fullmatch(line.strip())) and match[2].strip():
            yield _given(number, match[1], match[2].strip())


def _given(number: int, name: str, text: str) -> _Given:
    if len(text) > 1 and text[0] in "'\"" and (end := text.find(text[0], 1)) > 0:
        return _Given(number, name, text[1:end], bare=False)
    return _Given(number, name, re.sub(r"\s+#.*$", "", text), bare=True)


def _look(given: _Given) -> Finding | None:
    """What is to be said about one variable by itself."""
    if given.name.startswith(_OWN_OF_COMPOSE):
        return None
    v = _by_name().get(given.name)
    if v is None:
        return _stranger(given)
    if given.name.endswith("_FILE") and given.name not in {v.name, *v.old}:
        return _renamed(given, v, f"{v.name}_FILE") if given.name != f"{v.name}_FILE" else None
    if _is_unused(v, given.value):
        return Finding(UNUSED, given.line, given.name, "read, and nothing is done with it yet: remove it")
    return _value(given, v)


def _by_name() -> Mapping[str, Var]:
    return {spelling: v for v in known_variables() for spelling in v.spellings()}


def _is_unused(v: Var, value: str) -> bool:
    try:
        return not getattr(v.kind, "used", True) or "not used yet" in v.kind.note(value)
    except ValueError:
        return False


def _stranger(given: _Given) -> Finding:
    if reason := _GONE.get(given.name):
        return Finding(GONE, given.line, given.name, reason)
    names = {name.upper(): name for name in _by_name()}
    near = difflib.get_close_matches(given.name.upper(), names, n=1, cutoff=0.75)
    if not near:
        return Finding(UNKNOWN, given.line, given.name, "no setting of any service: remove it")
    meant = names[near[0]]
    return Finding(UNKNOWN, given.line, given.name, f"{meant}?", _line(_by_name()[meant], meant, given.value))


def _renamed(given: _Given, v: Var, new: str) -> Finding:
    return Finding(RENAMED, given.line, given.name, f"now {new}", _line(v, new, given.value))


def _line(v: Var, name: str, value: str) -> str:
    """The new line; a secret is not shown, but where it stands."""
    if v.secret and not name.endswith("_FILE"):
        return f"{name}=…    # the value as it is there; better in a file: {name}_FILE=./secrets/{name}"
    return assignment(name, value)


def _value(given: _Given, v: Var) -> Finding | None:
    """Old name, changed meaning and wrong value, together in one finding."""
    told = [f"now {v.name}"] if given.name != v.name else []
    what, value = RENAMED if told else CHANGED, given.value
    if _SED.search(value) and ("FILTER" in v.name or "_LDAP_" in v.name):
        told.append(r"\& means &, which is how to write it")
        value = _SED.sub("&", value)
    if given.bare and _INTERPOLATED.search(value):
        told.append("Compose sees a variable behind the dollar sign: single quotes")
    try:
        note = v.kind.note(value)
        parsed = v.kind.parse(value)
    except ValueError as error:
        shown = "the value" if v.secret else short(value)
        return Finding(REFUSED, given.line, given.name, f"{shown} {error}: it accepts {v.accepts()}", v.name + "=…")
    if note:
        told.append(note)
        value = str(parsed) if isinstance(parsed, str) else value
    if meaning := _meaning(v.name, parsed):
        told.append(meaning)
    return Finding(what, given.line, given.name, "; ".join(told), _line(v, v.name, value)) if told else None


def _meaning(name: str, value: object) -> str:
    """What the same variable with the same value does otherwise than it did."""
    if name == "LDAP_USER_FILTER":
        return "says who has a mailbox; who may log in, says LDAP_PASS_FILTER"
    if name == "SA_KILL" and isinstance(value, float) and value < _SA_KILL:
        return f"refuses mail from this score on, and does not keep it; {_SA_KILL:g} is usual here"
    if name == "LDAP_HOSTS":
        return "certificates are verified: each name has to be in its server's one"
    return ""


_SA_KILL = 15.0


def _between(given: list[_Given], refused: set[str]) -> Iterator[Finding]:
    """What is only wrong together, such as a network that may relay and holds the gateway."""
    values = {each.name: each.value for each in given if each.name in _by_name() and each.name not in refused}
    try:
        read(values, Known, known=known_variables(), read_file=lambda v, _path: v.example or "not read")
    except SettingsError as error:
        for mistake in error.mistakes:
            for each in given:
                if mistake.startswith(f"{each.name} ") and each.name in values:
                    yield Finding(
                        REFUSED, each.line, each.name, mistake.removeprefix(f"{each.name} "), f"{each.name}=…"
                    )


def _as_text(found: list[Finding], count: int) -> str:
    rest = count - len({(finding.line, finding.name) for finding in found})
    same = f"{rest} of {count} variables are taken as they are."
    if not found:
        return same
    rows = [{"what": each.what, "line": str(each.line), "variable": each.name, "told": each.told} for each in found]
    shown = table(("what", "line", "variable", "told"), rows, right=("line",), colours=_COLOURS, coloured=has_colour())
    lines = [each.write for each in found if each.write]
    new = "\n\nThese lines belong into the new .env instead:\n\n" + "\n".join(lines) if lines else ""
    return f"{shown}\n\n{same}{new}"
