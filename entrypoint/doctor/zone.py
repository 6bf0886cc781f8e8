"""Records as a fragment of a zone file (RFC 1035, 5), with comments that say what each is for."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby

from entrypoint.doctor.records import Needed, Record

TTL_S = 3600
_WIDTH = 100
_STRING_BYTES = 255  # the most that one string of a TXT record holds; a record may have several


def fragment(needed: Needed, heading: Sequence[str]) -> str:
    """All records, those of one zone together below their $ORIGIN, in the order of the zones' first records."""
    lines = [*(f"; {line}" for line in (*heading, *needed.notes)), f"$TTL {TTL_S}"]
    zones = dict.fromkeys(record.zone for record in needed.records)
    for zone in zones:
        lines += ["", f"$ORIGIN {zone}."]
        lines += _zone([record for record in needed.records if record.zone == zone])
    return "\n".join(lines) + "\n"


def _zone(records: Sequence[Record]) -> Iterator[str]:
    width = max(len(_relative(record)) for record in records)
    for why, alike in groupby(records, lambda record: record.why):
        yield ""
        yield from _comment(why)
        for record in alike:
            yield from _lines(record, width)


def _comment(why: str) -> Iterator[str]:
    for paragraph in why.split("\n"):
        indent = re.match(" *", paragraph)
        lead = indent[0] if indent else ""
        yield from textwrap.wrap(
            paragraph, _WIDTH, initial_indent="; ", subsequent_indent=f"; {lead}", break_long_words=False,
            break_on_hyphens=False, drop_whitespace=not lead,
        )  # fmt: skip


def _lines(record: Record, width: int) -> Iterator[str]:
    head = f"{_relative(record):<{width}}  {record.type:<5} "
    if record.type != "TXT":
        yield head + record.data
        return
    strings = [f'"{escaped}"' for escaped in map(_escaped, split(record.data))]
    if len(strings) == 1:
        yield head + strings[0]
        return
    yield f"{head}( {strings[0]}"
    for number, each in enumerate(strings[1:], 2):
        yield " " * (len(head) + 2) + each + (" )" if number == len(strings) else "")


def split(text: str) -> list[str]:
    """The text in strings that a TXT record can hold."""
    return [text[at : at + _STRING_BYTES] for at in range(0, len(text), _STRING_BYTES)] or [""]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _relative(record: Record) -> str:
    return "@" if record.name == record.zone else record.name.removesuffix(f".{record.zone}")
