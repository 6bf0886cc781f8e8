"""How events look, for people and for machines, ours and the daemons'."""

from __future__ import annotations

import io
import json
import re
import time
from collections.abc import Callable
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from entrypoint.logs import configure, lines, log_line
from entrypoint.logs.render import _encode, console_renderer, render_json

LINE = "1:M 22 Nov 2026 19:43:02.123 * Ready"


class Terminal(io.StringIO):
    """A stream that a person reads."""

    def isatty(self) -> bool:
        """It is a terminal."""
        return True


def logged(log_format: str, log: Callable[[Any], None], stream: io.StringIO | None = None, level: str = "info") -> str:
    """What comes out when `log` is called with a logger for daemons' lines."""
    sink = stream or io.StringIO()
    logs = configure(log_format, level, sink, service="mail-redis")
    log(log_line(logs, "redis", "redis"))
    return sink.getvalue()


def test_json_of_ours_begins_with_the_documented_fields() -> None:
    """One object a line: time, level, service, program, event, then the rest."""
    event = json.loads(logged("json", lambda _: structlog.get_logger().warning("died", daemon="redis", pid=7)))
    assert list(event) == ["time", "level", "service", "program", "event", "daemon", "pid"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["time"])
    del event["time"]
    assert event == {
        "level": "warning",
        "service": "mail-redis",
        "program": "entrypoint",
        "event": "died",
        "daemon": "redis",
        "pid": 7,
    }


def test_json_of_a_daemon_has_the_same_shape() -> None:
    """A daemon's line cannot be told from ours but by its program."""
    event = json.loads(logged("json", lambda log: log(LINE, 0)))
    assert list(event)[:5] == ["time", "level", "service", "program", "event"]
    assert (event["level"], event["service"], event["program"], event["event"]) == (
        "info",
        "mail-redis",
        "redis",
        "Ready",
    )


def test_console_lines_are_aligned() -> None:
    """Time, level, service, program, event and fields that the event does not say, in columns."""

    def log(line: Callable[[str, int], None]) -> None:
        line(LINE, 3)
        structlog.get_logger().warning("died", daemon="redis", words="two words", many=["a", "b c"])

    first, second = logged("console", log).splitlines()
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} info  mail-redis       redis      Ready  pid=1 role=M cut_bytes=3",
        first,
    )
    assert second.endswith('warn  mail-redis       entrypoint died  daemon=redis words="two words" many=a,"b c"')


def test_console_does_not_repeat_what_the_event_says() -> None:
    """Fields taken out of a message are for machines; a person reads them in it."""
    line = console_renderer(terminal=False)(
        {
            "time": 0.0,
            "level": "info",
            "service": "s",
            "program": "p",
            "event": "user=alice in",
            "user": "alice",
            "pid": 7,
        }
    )
    assert line.endswith("user=alice in  pid=7")


def test_console_shows_what_stands_in_the_event_only_by_chance() -> None:
    """Part of a word is not the value."""
    event = {
        "time": 0.0,
        "level": "info",
        "service": "s",
        "program": "p",
        "event": "started",
        "daemon": "art",
        "pid": 7,
    }
    assert console_renderer(terminal=False)(event).endswith("started  daemon=art pid=7")


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a person reads, and not where they have said no."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in logged("console", lambda log: log(LINE, 0), Terminal())
    assert "\x1b[" not in logged("console", lambda log: log(LINE, 0))
    assert "\x1b[" not in logged("json", lambda log: log(LINE, 0), Terminal())
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in logged("console", lambda log: log(LINE, 0), Terminal())


@pytest.mark.parametrize(("level", "seen"), [("debug", 3), ("info", 2), ("warning", 1), ("warn", 1), ("error", 0)])
def test_the_level_holds_for_ours_and_for_the_daemons(level: str, seen: int) -> None:
    """What is below it is left out."""

    def daemon(line: Callable[[str, int], None]) -> None:
        for sign in ".*#":
            line(f"1:M 22 Nov 2026 19:43:02.123 {sign} x", 0)

    def ours(_: Any) -> None:
        for method in ("debug", "info", "warning"):
            getattr(structlog.get_logger(), method)("x")

    assert logged("json", daemon, level=level).count("\n") == seen
    assert logged("json", ours, level=level).count("\n") == seen


def test_a_traceback_of_ours_is_logged() -> None:
    """On one line as json, indented below its event on the console."""

    def log(_: Any) -> None:
        try:
            raise ValueError("why")  # noqa: TRY301  # that is the test
        except ValueError:
            structlog.get_logger().exception("a bug")

    event = json.loads(logged("json", log))
    assert event["level"] == "error"
    assert "ValueError: why" in event["exception"]
    head, *trace = logged("console", log).splitlines()
    assert head.endswith("a bug")
    assert all(line.startswith("    ") for line in trace)
    assert trace[-1].endswith("ValueError: why")


@given(st.text(), st.text())
def test_an_event_is_one_line(event: str, field: str) -> None:
    """Whatever a daemon, or somebody who sends mail to it, writes: no new line, no terminal codes."""
    fields = {"time": 0.0, "level": "info", "service": "s", "program": "p", "event": event, "field": field}
    for line in (render_json(dict(fields)), console_renderer(terminal=True)(dict(fields)).replace("\x1b[", "", 2)):
        assert "\n" not in line
        assert "\r" not in line
        assert "\x1b" not in line


@given(st.text(), st.text())
def test_json_keeps_every_character(event: str, field: str) -> None:
    """What goes in can be read out again."""
    fields = {"time": 0.0, "level": "info", "service": "s", "program": "p", "event": event, "field": field}
    parsed = json.loads(render_json(dict(fields)).encode("utf-8", "backslashreplace"))
    assert (parsed["event"], parsed["field"]) == (event, field)


def test_a_parser_that_fails_costs_only_its_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    """The line goes out whole, and the failure is told once, with its traceback."""

    def broken(_line: str) -> dict[str, Any]:
        raise RuntimeError("cannot parse")

    monkeypatch.setattr(lines, "parser", lambda _name: broken)

    def log(line: Callable[[str, int], None]) -> None:
        line("one", 0)
        line("two", 0)

    events = [json.loads(line) for line in logged("json", log).splitlines()]
    assert [event["event"] for event in events] == ["parser failed", "one", "two"]
    assert "cannot parse" in events[0]["exception"]
    assert "cannot parse" in events[2]["parser_error"]


def test_the_time_of_a_daemon_counts_where_it_is_sure() -> None:
    """Exim's with zone and milliseconds does; otherwise it is the time of arrival."""
    sink = io.StringIO()
    log = log_line(configure("json", "info", sink), "exim", "exim-main")
    log("2026-11-22 19:43:02.123 +0100 x", 0)
    log("2001-11-22 19:43:02 x", 0)
    first, second = (json.loads(line)["time"] for line in sink.getvalue().splitlines())
    assert first == "2026-11-22T18:43:02.123Z"
    assert second >= time.strftime("%Y-%m-%d", time.gmtime(time.time() - 60))


def test_many_lines_a_second() -> None:
    """Far more than a busy mail server writes; the bound is a tenth of what is usual."""
    log = log_line(configure("json", "info", io.StringIO()), "exim", "exim-main")
    line = (
        '2026-11-22 19:43:02 1vMxyz-00000000001-abcd => bob@example.org R=members T=lmtp H=imap [172.20.0.5] C="250 OK"'
    )
    began = time.process_time()
    for _ in range(2000):
        log(line, 0)
    assert time.process_time() - began < 2.0


@given(
    st.dictionaries(
        st.text(), st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text())
    )
)
def test_the_encoder_that_is_kept_says_what_a_new_one_does(event: dict[str, Any]) -> None:
    """Also for what json does not know, which becomes text."""
    event["object"] = 1j
    assert _encode(event) == json.dumps(event, ensure_ascii=False, separators=(",", ":"), default=str)
