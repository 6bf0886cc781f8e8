"""What DNS has beside what it should have: ok, missing, differs or a warning, for each record.

What does the same is as good: a wider SPF record with the address in it, any valid DMARC policy, further mail servers.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from entrypoint.doctor import spf
from entrypoint.doctor.records import Record
from entrypoint.doctor.resolver import Answer, Resolver
from entrypoint.settings.kinds import Address

OK, MISSING, DIFFERS, WARNING, OPTIONAL = "ok", "missing", "differs", "warning", "optional"
BAD = frozenset({MISSING, DIFFERS})


@dataclass(frozen=True)
class Finding:
    """What became of one record. `found` is what is there; `told` says why that is not good, or only nearly."""

    record: Record
    state: str
    found: tuple[str, ...] = ()
    told: str = ""


def compare(records: Sequence[Record], resolver: Resolver, addresses: Sequence[Address]) -> list[Finding]:
    """A finding for each record, in their order."""
    return [_compare(record, records, resolver, addresses) for record in records]


def _compare(record: Record, records: Sequence[Record], resolver: Resolver, addresses: Sequence[Address]) -> Finding:
    answer = resolver.ask(record.name, record.type)
    if answer.trouble:
        return Finding(record, DIFFERS, (), f"the resolver says {answer.trouble}")
    if record.kind == "spf":
        return _spf(record, answer, resolver, addresses)
    if record.kind == "dmarc" and "._report." not in record.name:
        return _dmarc(record, answer, resolver)
    if record.kind == "host":
        return _host(record, answer, records)
    return _COMPARE[record.kind](record, answer)


def _missing(record: Record, told: str = "") -> Finding:
    return Finding(record, OPTIONAL if record.optional else MISSING, (), told)


def _host(record: Record, answer: Answer, records: Sequence[Record]) -> Finding:
    if not answer.data:
        return _missing(record)
    good = {ip_address(other.data) for other in records if (other.name, other.type) == (record.name, record.type)}
    there = {data: ip_address(data) for data in answer.data}
    if ip_address(record.data) not in there.values():
        return Finding(record, DIFFERS, answer.data, "another address")
    strange = [data for data, address in there.items() if address not in good]
    if strange:
        return Finding(record, DIFFERS, answer.data, f"{' and '.join(strange)} as well, where nobody may answer")
    if answer.alias and any(other.kind == "mx" and other.data.endswith(f" {record.name}.") for other in records):
        return Finding(record, DIFFERS, answer.data, f"an alias of {answer.alias}, to which no MX may lead (RFC 2181)")
    return Finding(record, OK, answer.data)


def _mx(record: Record, answer: Answer) -> Finding:
    if not answer.data:
        return _missing(record)
    hosts = [data.split()[1] for data in answer.data]
    if record.data.split()[1].lower() not in hosts:
        return Finding(record, DIFFERS, answer.data, "mail goes elsewhere")
    return Finding(record, OK, answer.data)


def _spf(record: Record, answer: Answer, resolver: Resolver, addresses: Sequence[Address]) -> Finding:
    found = tuple(spf.records(answer.data))
    if not found:
        return _missing(record)
    if len(found) > 1:
        return Finding(record, DIFFERS, found, f"{len(found)} SPF records, where only one may be: write one of them")
    if re.search(r"\s\+?all\b", found[0], re.IGNORECASE):
        return Finding(record, DIFFERS, found, "everybody may send in your name")
    try:
        return Finding(record, *_judged(record, found[0], resolver, addresses))
    except spf.SpfError as error:
        return Finding(record, DIFFERS, found, str(error))


def _judged(
    record: Record, text: str, resolver: Resolver, addresses: Sequence[Address]
) -> tuple[str, tuple[str, ...], str]:
    """State, what is there, and why, of the one record: whether our addresses pass, and what that costs others."""
    verdicts = {address: spf.evaluate(resolver, record.name, text, address) for address in addresses}
    refused = [f"{address} ({verdict.result})" for address, verdict in verdicts.items() if verdict.result != "pass"]
    if refused:
        return DIFFERS, (text,), f"it does not allow {' and '.join(refused)}"
    lookups = _most_lookups(resolver, record.name, text, addresses)
    if lookups > spf.LOOKUPS:
        return WARNING, (text,), f"it needs {lookups} look-ups; receivers may give up after {spf.LOOKUPS}"
    return OK, (text,), ""


# A stranger is looked for in all of a record: that is what it costs at most.
_STRANGERS = {4: ip_address("203.0.113.1"), 6: ip_address("2001:db8:ffff::1")}


def _most_lookups(resolver: Resolver, domain: str, record: str, addresses: Sequence[Address]) -> int:
    versions = {address.version for address in addresses} or {4}
    return max(spf.evaluate(resolver, domain, record, _STRANGERS[version]).lookups for version in versions)


def _dkim(record: Record, answer: Answer) -> Finding:
    if not answer.data:
        return _missing(record)
    if len(answer.data) > 1:
        return Finding(record, DIFFERS, answer.data, f"{len(answer.data)} records, where only one may be")
    there, wanted = tags(answer.data[0]), tags(record.data)
    if not there.get("p"):
        return Finding(record, DIFFERS, answer.data, "it has no key: with an empty p= it is revoked")
    if _key(there) != _key(wanted):
        return Finding(record, DIFFERS, answer.data, "another key: signatures are bad")
    if "y" in there.get("t", "").split(":"):
        return Finding(record, WARNING, answer.data, "t=y: for testing only, receivers take no notice")
    return Finding(record, OK, answer.data)


def _key(found: Mapping[str, str]) -> tuple[str, bytes]:
    try:
        return found.get("k", "rsa").lower(), base64.b64decode(re.sub(r"\s", "", found["p"]), validate=True)
    except binascii.Error:
        return "", b""


def tags(text: str) -> dict[str, str]:
    """`v=DKIM1; k=rsa; p=…` by tag; spaces around count for nothing (RFC 6376, 3.2)."""
    parts = (part.partition("=") for part in text.split(";") if "=" in part)
    return {name.strip().lower(): value.strip() for name, _, value in parts}


def _dmarc(record: Record, answer: Answer, resolver: Resolver) -> Finding:
    found = _starting("v=DMARC1", answer.data)
    labels = record.name.split(".")[1:]
    while not found and len(labels) > 2:  # a policy of the domain above counts, too (RFC 7489, 6.6.3)
        labels = labels[1:]
        found = _starting("v=DMARC1", resolver.ask(f"_dmarc.{'.'.join(labels)}", "TXT").data)
    if not found:
        return _missing(record)
    if len(found) > 1:
        return Finding(record, DIFFERS, tuple(found), f"{len(found)} records: receivers take none of them")
    policy = tags(found[0]).get("p", "").lower()
    if policy not in {"none", "quarantine", "reject"}:
        return Finding(record, DIFFERS, tuple(found), "p= has to be none, quarantine or reject")
    return Finding(record, OK, tuple(found))


def _report_to(record: Record, answer: Answer) -> Finding:
    found = _starting("v=DMARC1", answer.data)
    return Finding(record, OK, tuple(found)) if found else _missing(record)


def _one_text(version: str, tag: str) -> Callable[[Record, Answer], Finding]:
    """For records of which there is one, whose version comes first, and which need one more tag."""

    def look(record: Record, answer: Answer) -> Finding:
        found = tuple(_starting(version, answer.data))
        if not found:
            return _missing(record)
        if len(found) > 1:
            return Finding(record, DIFFERS, found, f"{len(found)} records: others take none of them")
        if not tags(found[0]).get(tag):
            return Finding(record, DIFFERS, found, f"it has no {tag}=")
        return Finding(record, OK, found)

    return look


def _starting(version: str, texts: Sequence[str]) -> list[str]:
    return [text for text in texts if re.match(rf"{version}\s*(;|$)", text.replace(" = ", "="), re.IGNORECASE)]


def _tlsa(record: Record, answer: Answer) -> Finding:
    if not answer.data:
        return _missing(record, "only with DNSSEC")
    if not record.also_good & set(answer.data):
        return Finding(record, DIFFERS, answer.data, "none fits the certificate: hosts that check it send you no mail")
    return Finding(record, OK, answer.data)


def _srv(record: Record, answer: Answer) -> Finding:
    """Port and host count; priority and weight are a matter of taste."""
    if not answer.data:
        return _missing(record)
    if not any(data.split()[2:] == record.data.lower().split()[2:] for data in answer.data):
        return Finding(record, DIFFERS, answer.data, "mail programs are sent elsewhere")
    return Finding(record, OK, answer.data)


def _ptr(record: Record, answer: Answer) -> Finding:
    if not answer.data:
        return _missing(record)
    if record.data.lower() not in answer.data:
        return Finding(record, DIFFERS, answer.data, "another name than exim-ext-mailout gives (EXIM_EXT_MAILOUT_HOST)")
    return Finding(record, OK, answer.data)


_COMPARE: Mapping[str, Callable[[Record, Answer], Finding]] = {
    "mx": _mx,
    "dkim": _dkim,
    "dmarc": _report_to,
    "mta-sts": _one_text("v=STSv1", "id"),
    "tls-rpt": _one_text("v=TLSRPTv1", "rua"),
    "tlsa": _tlsa,
    "srv": _srv,
    "ptr": _ptr,
}
