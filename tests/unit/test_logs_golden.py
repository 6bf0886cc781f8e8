"""Lines that the daemons really wrote (tests/unit/golden, see tools/golden.py): read as they were, by the schema."""

from __future__ import annotations

import io
import json
import re
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from entrypoint.logs import configure, log_line
from entrypoint.logs.parsers import NAMES, parser
from tests.unit.schema import mistakes
from tests.unit.test_logs_parsers import TEXTS
from tools.golden import Golden, all_golden, shape

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs/reference/log.schema.json").read_text())
PAGE = (ROOT / "docs/reference/log.md").read_text()
FOLDER = Path(__file__).parent / "golden"
GOLDEN = {golden.name: golden for golden in all_golden()}
REVERSING = set("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# The program's own text, for people: traces, banners, and what uwsgi says when it starts.
WITHOUT_PREFIX = {
    "clamd": r"Limits: |.* enabled\.$|.* disabled\.$|Self checking|instream|--- Stopped",
    "fail2ban": r"Server ready$",
    "mailman-core": r"\[\d\d/",  # a request
    "mailman-web": r".*",
    "slapd": r"\tDebian OpenLDAP Maintainers ",
}


def logged(name: str, line: str, log_format: str, cut_bytes: int = 0) -> str:
    """What goes out for a line that comes in."""
    sink = io.StringIO()
    log_line(configure(log_format, "debug", sink, service="test"), "daemon", name)(line, cut_bytes)
    return sink.getvalue()


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=lambda golden: golden.name)
def test_parsers_read_what_they_have_read_before(golden: Golden) -> None:
    """A change of a parser shows in these files: python -m tools.golden."""
    assert golden.text() == (FOLDER / f"{golden.name}.jsonl").read_text(), "run: python -m tools.golden, and look at it"


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=lambda golden: golden.name)
def test_no_line_of_a_daemon_is_left_raw(golden: Golden) -> None:
    """Each has the fields of a prefix, but for those that have none."""
    parse, known = parser(golden.name), WITHOUT_PREFIX.get(golden.name, "$^")
    raw = [line for line in golden.lines if parse(line).keys() <= {"event", "level"} and not re.match(known, line)]
    assert raw == []


def test_every_parser_but_two_has_lines_that_are_real() -> None:
    """raw is for daemons that nobody knows; our Exim writes rejections into the main log alone."""
    assert set(NAMES) - GOLDEN.keys() <= {"raw", "ours", "exim-reject"}
    assert all(golden.package and golden.lines for golden in GOLDEN.values())


@pytest.mark.parametrize("golden", GOLDEN.values(), ids=lambda golden: golden.name)
def test_real_lines_are_json_as_documented(golden: Golden) -> None:
    """Each field has the type and the values of the schema, and none is missing there."""
    for line in golden.lines:
        assert mistakes(json.loads(logged(golden.name, line, "json")), SCHEMA, strict=True) == [], line


@pytest.mark.parametrize(
    ("change", "mistake"),
    [
        ({"level": "loud"}, "level: 'loud' is not one of"),
        ({"size": "12"}, "size: '12' is not of type 'integer'"),
        ({"pid": True}, "pid: True is not of type 'integer'"),
        ({"recipients": ["a", 1]}, "recipients/1: 1 is not of type 'string'"),
        ({"time": "yesterday"}, "time: 'yesterday' does not match"),
        ({"colour": "red"}, ": Additional properties are not allowed ('colour' was"),
    ],
)
def test_the_schema_is_really_compared(change: dict[str, Any], mistake: str) -> None:
    line = json.loads(logged("raw", "hello", "json"))
    assert mistakes(line, SCHEMA, strict=True) == []
    assert mistakes(line | change, SCHEMA, strict=True)[0].startswith(mistake)
    del line["event"]
    assert mistakes(line, SCHEMA, strict=True) == [": 'event' is a required property"]


def test_the_page_has_every_field_with_its_type() -> None:
    """docs/reference/log.md and the schema say the same."""
    told = re.findall(r"(?m)^\| `(\w+)` \| (string|integer|number|boolean|list of strings) \| ", PAGE)
    types = {name: "list of strings" if field["type"] == "array" else field["type"] for name, field in fields().items()}
    assert told == list(types.items())


def fields() -> dict[str, Any]:
    found: dict[str, Any] = SCHEMA["properties"]
    return found


@pytest.mark.parametrize("reason", SCHEMA["properties"]["reason"]["enum"])
def test_the_page_explains_every_reason(reason: str) -> None:
    assert re.search(rf"(?m)^\| `{reason}` \| \w", PAGE)


@pytest.mark.parametrize("name", NAMES)
@given(line=TEXTS, cut_bytes=st.integers(0, 9))
@example(line="\x00\x1b[2J\r\x85\u2028\u202ecod.exe\u2066", cut_bytes=0)
@example(line='2026-11-22 19:43:02 1vMxyz-00000000001-abcd <= a S=99999999999999999999 id=" T="\x1b', cut_bytes=1)
def test_a_line_goes_through_whole_and_stays_one_line(name: str, line: str, cut_bytes: int) -> None:
    """As json by the schema, with the text unchanged; for people without a control character but the line's end."""
    out = logged(name, line, "json", cut_bytes)
    assert out.count("\n") == 1
    assert out.endswith("}\n")
    event = json.loads(out)
    assert mistakes(event, SCHEMA, strict=name != "ours") == []
    assert event.get("cut_bytes", 0) == cut_bytes
    if not re.search("user=.*pass=", line, re.DOTALL) and name != "ours":
        assert line.endswith(event["event"])
    shown = logged(name, line, "console", cut_bytes)
    assert shown.endswith("\n")
    if "exception" not in event:
        assert shown.count("\n") == 1
        assert not [c for c in shown[:-1] if unicodedata.category(c) in {"Cc", "Zl", "Zp"} and c != "\t"]
        assert not set(shown) & REVERSING
        assert escaped(event["event"]).rstrip(" ") in shown


def escaped(text: str) -> str:
    """As a terminal gets it."""
    return "".join(_escaped(c) for c in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if character in "\n\r":
        return {"\n": "\\n", "\r": "\\r"}[character]
    if character in REVERSING or character in "\u2028\u2029":
        return f"\\u{code:04x}"
    return f"\\x{code:02x}" if unicodedata.category(character) == "Cc" and character != "\t" else character


def test_lines_of_one_kind_have_one_shape() -> None:
    """Other numbers and names are no other kind; another verdict is."""
    parse = parser("exim-main")
    one, two, other = (
        parse(f"2026-11-22 19:43:0{n} {text}")
        for n, text in enumerate(
            (
                "H=(a) [192.0.2.1] rejected RCPT <a@example.test>: Unknown recipient",
                "H=(b) [192.0.2.2] rejected RCPT <b@example.test>: Unknown recipient",
                "H=(b) [192.0.2.2] rejected RCPT <b@example.test>: relay not permitted",
            )
        )
    )
    assert shape(one) == shape(two) != shape(other)
