"""What the log tells: the way of a message, shown by the command that people use; and that no line is left unread."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.containers import wait_until
from tests.stack.clients import MX, SOMEONE, SUBMISSION, new_mail
from tests.stack.system import System
from tests.stack.test_in import GTUBE
from tests.unit.schema import mistakes
from tools.commands import ROOT
from tools.demo.stack import IMAGE_VARIABLES

pytestmark = pytest.mark.stack

SCHEMA = json.loads((ROOT / "docs/reference/log.schema.json").read_text())
HEAD = {"time", "level", "service", "program", "event"}
# What has no prefix in the daemon's own log.
WITHOUT_PREFIX = {
    "slapd": r"\tDebian OpenLDAP Maintainers ",
    **dict.fromkeys(("clamd", "first-signatures", "freshclam"), ""),  # LogTime no: the time is ours anyway
}


def trace(system: System, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command, as it is called beside docker-compose.yaml; what it asks Compose needs the project's settings."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", *IMAGE_VARIABLES) if name in os.environ}
    return subprocess.run(
        [sys.executable, "-m", "entrypoint", "trace", *arguments],
        cwd=ROOT,
        env={**kept, **system.stack.settings, "COMPOSE_ENV_FILES": os.devnull},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def story(system: System, name: str, *last: str) -> dict[str, Any]:
    """The way of a message, as soon as it has these kinds of steps: each service's last, as each is read by itself."""

    def told() -> dict[str, Any] | None:
        done = trace(system, name, "--json")
        found: dict[str, Any] = json.loads(done.stdout) if done.returncode == 0 else {"steps": []}
        return found if {step["kind"] for step in found["steps"]}.issuperset(last) else None

    return wait_until(told, 30, f"{name} is {' and '.join(last)}") or {}


def kinds(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(step["service"], step["kind"]) for step in told["steps"] if step["kind"] != "note"]


class TestTrace:
    """entrypoint trace, reading what Compose has of the containers."""

    def test_a_message_from_outside_is_followed_into_its_folder(self, system: System) -> None:
        """From the MX over rspamd's verdict to the folder; and what people get to read is one line a step."""
        mail = new_mail(SOMEONE, "alice@example.test")
        assert system.come_in(mail, "alice@example.test")[0] == 250
        told = story(system, mail["Message-ID"], "completed")
        assert kinds(told) == [
            ("rspam", "scanned"),
            ("exim-external", "received"),
            ("imap", "stored"),
            ("exim-external", "delivered"),
            ("exim-external", "completed"),
        ]
        assert told["recipients"] == {"alice@example.test": "stored in INBOX"}
        shown = trace(system, mail["Message-ID"].strip("<>"))
        assert shown.stdout.startswith(f"{mail['Message-ID']} from {SOMEONE} for alice@example.test\n")
        assert re.search(r"\+\d+\.\d{3} s  imap +stored in INBOX of alice@example\.test\n", shown.stdout)
        assert len(shown.stdout.splitlines()) == len(told["steps"]) + 2

    def test_a_message_to_the_world_is_followed_over_two_roles(self, system: System) -> None:
        """With what the world's server said; and it is the same by any of Exim's names for it."""
        mail = new_mail("bob@example.test", SOMEONE)
        with system.member(SUBMISSION, "bob") as session:
            assert session.submitted("bob@example.test", SOMEONE, mail)[0] == 250
        told = story(system, mail["Message-ID"], "passed on", "delivered")
        found = kinds(told)
        assert found[:2] == [("rspam", "scanned"), ("exim-int-mailout", "received")]
        assert {("exim-ext-mailout", "received"), ("exim-ext-mailout", "delivered")} <= set(found)
        assert told["recipients"] == {SOMEONE: "delivered"}
        delivered = next(step for step in told["steps"] if step["kind"] == "delivered")
        assert delivered["fields"]["reply"].startswith("250 2.0.0 kept as ")
        names = {step["fields"]["exim_id"] for step in told["steps"] if "exim_id" in step["fields"]}
        assert len(names) == 2
        for name in names:
            assert story(system, name, "passed on", "delivered")["message_id"] == mail["Message-ID"].strip("<>")

    def test_a_refusal_is_found_with_its_reason(self, system: System) -> None:
        """rspamd has seen it, Exim has refused it, and it was nowhere else."""
        mail = new_mail(SOMEONE, "alice@example.test")
        mail.set_content(f"{GTUBE}\n")
        assert system.come_in(mail, "alice@example.test")[0] == 550
        told = story(system, mail["Message-ID"], "rejected")
        assert kinds(told) == [("rspam", "scanned"), ("exim-external", "rejected")]
        assert told["steps"][-1]["fields"]["reason"] == "spam"

    def test_what_was_never_here_is_not_found(self, system: System) -> None:
        """Code 1 and a sentence."""
        done = trace(system, "<nobody@nowhere.test>")
        assert (done.returncode, done.stdout) == (1, "")
        assert "nothing of nobody@nowhere.test in the log" in done.stderr


class TestLines:
    """All lines of all daemons, whatever the tests before this one have made them write."""

    def test_no_line_is_left_raw(self, system: System) -> None:
        """Each has at least the fields of its prefix; a daemon that changes its form with an upgrade is found here."""
        with system.smtp(MX) as session:
            session.sent("RCPT TO:<nobody@example.test>")
        raw = [
            f"{event['program']}: {event['event']}"
            for event in lines_of_daemons(system)
            if event.keys() <= HEAD and not re.match(WITHOUT_PREFIX.get(event["program"], "$^"), event["event"])
        ]
        assert raw == []
        programs = {event["program"] for event in lines_of_daemons(system)}
        assert programs >= {"exim", "dovecot", "rspamd", "redis", "dnsmasq"}

    def test_every_line_is_as_documented(self, system: System) -> None:
        """By docs/reference/log.schema.json; those of our own programs may have more fields."""
        wrong = [
            (event, found)
            for event in lines_of_daemons(system)
            if (found := mistakes(event, SCHEMA, strict=event["program"] != "entrypoint"))
        ]
        assert wrong == []


def lines_of_daemons(system: System) -> Iterator[dict[str, Any]]:
    """Everything but what entrypoint itself and the sink have said."""
    for name, text in system.logs_since().items():
        events = (json.loads(line) for line in text.splitlines() if line.startswith("{") and name != "sink")
        yield from (event for event in events if event["program"] != "entrypoint")
