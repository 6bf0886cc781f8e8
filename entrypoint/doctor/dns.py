"""`entrypoint doctor dns`: the records that the domains' mail needs, as a zone fragment, and whether DNS has them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from entrypoint.console import GREEN, RED, YELLOW, Row, has_colour, table
from entrypoint.doctor import records as wanted
from entrypoint.doctor import zone
from entrypoint.errors import Refused
from entrypoint.settings.kinds import Address, address

if TYPE_CHECKING:
    from entrypoint.doctor.compare import Finding
    from entrypoint.doctor.resolver import Resolver

_HEADS = ("state", "type", "name", "there", "why")
_COLOURS = {"ok": GREEN, "missing": RED, "differs": RED, "warning": YELLOW, "optional": YELLOW}
_SHOWN = 60


@dataclass(frozen=True)
class Question:
    """What the command line says."""

    addresses: Sequence[Address] = ()
    resolver: str = ""
    check: bool = True
    skip: Sequence[str] = ()
    mode: str = "testing"
    as_json: bool = False


def main(env: Mapping[str, str], question: Question) -> int:
    """Print records and findings; 1 when something is missing or differs, else 0."""
    known = wanted.settings_of(env)
    resolver = _resolver(question.resolver) if question.check else None
    addresses, origin = _addresses(known, question, resolver)
    needed = wanted.needed(known, addresses, question.skip, question.mode)
    findings = _findings(known, needed, addresses, resolver)
    if question.as_json:
        print(json.dumps(_as_json(needed, findings, addresses), indent=2))
    else:
        print(zone.fragment(needed, _heading(known, origin)), end="")
        if resolver:
            print(f"\n{_as_text(findings, needed.notes, resolver)}")
    return int(any(finding.state in {"missing", "differs"} for finding in findings))


def fragment(env: Mapping[str, str], addresses: Sequence[Address]) -> str:
    """The records alone, as `--no-check` prints them."""
    known = wanted.settings_of(env)
    _, origin = _addresses(known, Question(addresses), None)
    return zone.fragment(wanted.needed(known, addresses), _heading(known, origin))


def _resolver(place: str) -> Resolver:
    try:
        from entrypoint.doctor.resolver import Resolver
    except ImportError:
        raise Refused(
            "cannot ask a resolver: Python's dnspython is not installed here; install it (pip install dnspython), "
            "or only print (--no-check)"
        ) from None
    return Resolver(place)


def _addresses(known: wanted.Known, question: Question, resolver: Resolver | None) -> tuple[Sequence[Address], str]:
    """The public addresses, and where they are from: the command line, or what DNS has for the name on them."""
    if question.addresses:
        return question.addresses, f"for {' and '.join(map(str, question.addresses))}"
    host = known.exim_ext_mailout_host
    found = [address.parse(data) for kind in ("A", "AAAA") for data in _ask(resolver, host, kind)]
    if found:
        return found, f"for {' and '.join(map(str, found))}, the address of {host} in DNS (another one: --address)"
    return (), f"{wanted.NO_ADDRESS} stands for the public address of this machine: give it with --address"


def _ask(resolver: Resolver | None, name: str, rdtype: str) -> tuple[str, ...]:
    return resolver.ask(name, rdtype).data if resolver else ()


def _heading(known: wanted.Known, origin: str) -> list[str]:
    return [f"DNS records for the mail of {', '.join(known.exim_local_domains)}", origin]


def _findings(
    known: wanted.Known, needed: wanted.Needed, addresses: Sequence[Address], resolver: Resolver | None
) -> list[Finding]:
    if resolver is None:
        return []
    from entrypoint.doctor.compare import compare

    # What leaves through a relay comes from addresses of the relay, which nobody has told us.
    senders = () if known.default_relay_host else addresses or (wanted.NO_ADDRESS,)
    return compare(needed.records, resolver, senders)


def _as_text(findings: Sequence[Finding], notes: Sequence[str], resolver: Resolver) -> str:
    shown = table(_HEADS, [_row(finding) for finding in findings], colours=_COLOURS, coloured=has_colour())
    return "\n".join([f"As {resolver.name} sees it:", "", shown, "", *notes, _summary(findings)])


def _row(finding: Finding) -> Row:
    return {
        "state": finding.state,
        "type": finding.record.type,
        "name": finding.record.name,
        "there": _short(" | ".join(finding.found)),
        "why": finding.told,
    }


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _summary(findings: Sequence[Finding]) -> str:
    counts = {state: sum(finding.state == state for finding in findings) for state in _COLOURS}
    bad = counts["missing"] + counts["differs"]
    told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
    return f"{told}: {'the records above say what should be there' if bad else 'nothing has to be done'}"


def _as_json(needed: wanted.Needed, findings: Sequence[Finding], addresses: Sequence[Address]) -> dict[str, Any]:
    states = {id(finding.record): finding for finding in findings}
    return {
        "addresses": [str(each) for each in addresses],
        "records": [_record_as_json(record, states.get(id(record))) for record in needed.records],
        "policies": dict(needed.policies),
        "notes": list(needed.notes),
    }


def _record_as_json(record: wanted.Record, finding: Finding | None) -> dict[str, Any]:
    told = {name: getattr(record, name) for name in ("kind", "zone", "name", "type", "data", "optional")}
    if finding is None:
        return told
    return {**told, "state": finding.state, "found": list(finding.found), "why": finding.told}
