"""Mailboxes elsewhere: their lines, what a message is made of on its way in, and what becomes of a round.

fetchmail itself, and mail that goes all the way, are in tests/image/test_fetchmail.py.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from entrypoint.fetching.__main__ import Mailbox as Line
from entrypoint.fetching.__main__ import read_mailboxes, reason, status
from entrypoint.fetching.deliver import Message, RefusedMessage, Verdict, scan
from entrypoint.health import examine
from entrypoint.logs.parsers import parser
from entrypoint.measures import take
from entrypoint.plan import Measure
from entrypoint.render import render_tree
from entrypoint.service import find
from entrypoint.settings import Secret, read
from entrypoint.settings.mailboxes import Mailbox, mailboxes
from tests.unit.servers import Peer, Server

PASSWORD = " a:b #'\"\\ $x %T  ü"


def one(line: str) -> Mailbox:
    (found,) = mailboxes.parse(line)
    return found


class TestLines:
    def test_one_is_read_as_it_was_meant(self) -> None:
        assert one(f"alice@example.org\tdelete  imaps://imap.example.net  alice@example.net:{PASSWORD}") == Mailbox(
            recipient="alice@example.org",
            keep=False,
            protocol="IMAP",
            host="imap.example.net",
            port=993,
            tls="tls",
            login="alice@example.net",
            password=Secret(PASSWORD),
        )

    @pytest.mark.parametrize(
        ("server", "read"),
        [
            ("imaps://a.test", ("IMAP", 993, "tls")),
            ("IMAP://a.test", ("IMAP", 143, "starttls")),
            ("pop3s://a.test:1995/", ("POP3", 1995, "tls")),
            ("pop3://a.test", ("POP3", 110, "starttls")),
        ],
    )
    def test_all_ways_have_tls(self, server: str, read: tuple[str, int, str]) -> None:
        found = one(f"a@example.org keep {server} u:p")
        assert (found.protocol, found.port, found.tls) == read

    def test_comments_and_empty_lines_are_none(self) -> None:
        text = "# to whom\n\n  a@example.org keep imaps://a.test u:p\r\n b@example.org keep imaps://a.test v:q"
        assert [each.recipient for each in mailboxes.parse(text)] == ["a@example.org", "b@example.org"]

    def test_what_fetchmail_knows_of_one_stays_where_it_was(self) -> None:
        """Whoever gets it, and whatever the password is; another mailbox is another one."""
        lines = ("a@example.org keep imaps://a.test u:p", "b@example.org delete imaps://a.test:993 u:q")
        assert len({one(line).name for line in lines}) == 1
        assert one("a@example.org keep imaps://a.test v:p").name != one(lines[0]).name

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("a@example.org keep imaps://a.test u:p\na@example.org keep imaps://a.test u:p", "in the lines 1 and 2"),
            ("a@example.org keep http://a.test u:p", "has no server as the third word of line 1, such as imaps://"),
            ("a@example.org keep imaps://a.test:0 u:p", "has no server as the third word"),
            ("a@example.org keep imaps://u:p@a.test u:p", "has no server as the third word"),
            ("a@example.org keep imaps://a.test u :p", "has no login:password at the end of line 1"),
            (f"a@example.org keep imaps://a.test u:{'x' * 256}", "too long: 83 and 255 bytes are possible"),
            ("a@example.org keep imaps://a.test u:p\x07", "has a line 1 that has control characters"),
        ],
    )
    def test_a_wrong_one_is_told_by_its_number(self, line: str, told: str) -> None:
        with pytest.raises(ValueError, match="line") as caught:
            mailboxes.parse(line)
        assert told in str(caught.value)
        assert "u:p" not in str(caught.value)

    def test_the_rendered_list_is_read_again(self) -> None:
        accounts = "a'b@example.org keep imaps://a.test ü:p"
        env = {"DOMAIN": "example.org", "FETCHMAIL_ACCOUNTS": accounts}
        files = render_tree(find("fetchmail"), read(env, find("fetchmail").settings).settings)
        (line,) = read_mailboxes(files[Path("/run/config/mailboxes")])
        assert line == Line(one(accounts).name, "a'b@example.org", "ü at a.test")


class TestMessage:
    def test_marks_of_others_are_taken_off(self) -> None:
        """In any spelling, over several lines; what only looks alike, or is in the body, stays."""
        head = b"x-spam-FLAG : YES\r\nReceived: a\r\n by b\r\nX-Spam: Yes,\r\n\tvery\r\nX-Spammer: no\r\nSubject: s\r\n"
        made = Message.of(head + b"\r\nX-Spam-Flag: YES\r\n")
        assert made.body == b"Received: a\n by b\nX-Spammer: no\nSubject: s\n\nX-Spam-Flag: YES\n"

    def test_one_without_a_body_keeps_its_head(self) -> None:
        assert Message.of(b"Subject: s\nX-Spam-Flag: YES\n").body == b"Subject: s\n"

    def test_it_knows_its_id_and_sender(self) -> None:
        made = Message.of(b"Return-Path: <a@example.net>\nMessage-ID: <1 2@\xffx>\n\n")
        assert (made.sender, made.id) == ("a@example.net", "12@x")
        assert Message.of(b"Return-Path: <>\n\n").sender == Message.of(b"Return-Path: <a b>\n\n").sender == ""

    @pytest.mark.parametrize(
        ("action", "marks"),
        [
            ("no action", b""),
            ("greylist", b"X-Spam-Score: 4.50\n"),
            ("add header", b"X-Spam-Score: 4.50\nX-Spam-Flag: YES\n"),
            ("rewrite subject", b"X-Spam-Score: 4.50\nX-Spam-Flag: YES\n"),
            ("reject", b"X-Spam-Score: 4.50\nX-Spam-Flag: YES\n"),
        ],
    )
    def test_it_is_marked_by_the_verdict(self, action: str, marks: bytes) -> None:
        assert Message.of(b"Subject: s\n\n").marked(Verdict(action, 4.5)) == marks + b"Subject: s\n\n"


def rspamd(answer: Mapping[str, Any] | bytes) -> Server:
    """A worker that says this of everything."""

    def converse(peer: Peer) -> None:
        while peer.line():
            pass
        body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        code = "500 Oops" if isinstance(answer, bytes) else "200 OK"
        peer.send(f"HTTP/1.1 {code}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    return Server(converse)


class TestScan:
    MESSAGE = Message.of(b"Subject: s\n\n")

    def asked(self, answer: Mapping[str, Any] | bytes) -> Verdict:
        with rspamd(answer) as server:
            return scan(self.MESSAGE, "a@example.org", f"127.0.0.1:{server.port}")

    def test_a_verdict(self) -> None:
        assert self.asked({"action": "add header", "score": 7, "symbols": {}}) == Verdict("add header", 7.0)

    @pytest.mark.parametrize(
        ("answer", "told"),
        [
            (
                {"action": "reject", "score": 1, "symbols": {"CLAM_VIRUS": {"options": ["Eicar-Test"]}}},
                "it has the virus Eicar-Test: look at it there, and remove it",
            ),
            ({"action": "soft reject", "score": 1}, "rspamd puts it off (soft reject)"),
            ({"score": 1}, "rspamd gives no verdict ('action')"),
            (b"oops", "rspamd gives no verdict ('action')"),
        ],
    )
    def test_what_is_not_delivered(self, answer: Mapping[str, Any] | bytes, told: str) -> None:
        with pytest.raises(RefusedMessage) as caught:
            self.asked(answer)
        assert str(caught.value) == told

    def test_without_rspamd(self) -> None:
        with pytest.raises(RefusedMessage, match=r"no verdict .*refused"):
            scan(self.MESSAGE, "a@example.org", "127.0.0.1:1")


class TestRound:
    @pytest.mark.parametrize(
        ("code", "lines", "why"),
        [
            (0, [], ""),
            (1, ["fetchmail: No mail for a at b"], ""),
            (13, [], ""),
            (3, ["fetchmail: Authorization failure on a@b"], "the login is refused; is the password right?"),
            (
                2,
                ["fetchmail: Server certificate verification error: x"],
                "no connection: Server certificate verification error: x",
            ),
            (99, [], "fetchmail ended with 99"),
            (0, ["deliver: refused to=<a@b> id=<> size=1 because=550 no"], "a message stays there: 550 no"),
            (10, ["deliver: refused to=<a@b> id=<> size=1 because=550 no"] * 2, "2 messages stay there: 550 no"),
        ],
    )
    def test_why_a_mailbox_was_not_fetched(self, code: int, lines: list[str], why: str) -> None:
        assert reason(code, lines) == why

    def test_failures_have_begun_once(self) -> None:
        first = status({"a": "x", "b": ""}, {}, 100.0)
        later = status({"a": "y", "b": "z", "c": ""}, first, 200.0)
        assert [(each["title"], each["since"]) for each in later["mailboxes"]] == [
            ("a", 100.0),
            ("b", 200.0),
            ("c", None),
        ]
        assert status({"a": ""}, later, 300.0)["mailboxes"][0]["since"] is None

    def test_a_mailbox_that_fails_is_a_warning_with_its_reason(self, tmp_path: Path) -> None:
        file = tmp_path / "status.json"
        measure = Measure(kind="mailboxes", where=str(file))
        assert take(measure) == []
        file.write_text(json.dumps(status({"a at b": "no", "c at d": ""}, {}, 0.0)))
        bad, good = take(measure)
        assert (bad.value, good.value, good.warning, bad.problem) == (0.0, 1.0, "", "")
        assert bad.warning.startswith("cannot fetch a at b since ")
        assert bad.warning.endswith(" days: no")
        file.write_text("{")
        assert [value.name for value in take(measure)] == ["measure_failed"]

    def test_health_knows_a_service_without_a_daemon(self, tmp_path: Path) -> None:
        programs = [{"name": name, "kind": "job", "every_s": 0.0} for name in ("fetchmail", "reload", "look")]
        (tmp_path / "plan.json").write_text(json.dumps({"programs": programs}))
        (tmp_path / "state.json").write_text(json.dumps({"programs": {}}))
        assert examine("live", str(tmp_path)).line == "alive: the job fetchmail runs now and then"


class TestLog:
    parse = staticmethod(parser("fetchmail"))

    def test_a_delivery(self) -> None:
        line = "deliver: delivered to=<a@b> id=<1@x> size=12 action=<add header> score=7.00 reply=250 2.0.0 <a@b> Saved"
        assert self.parse(line) == {
            "event": line.removeprefix("deliver: "),
            "level": "info",
            "process": "deliver",
            "status": "delivered",
            "recipient": "a@b",
            "message_id": "1@x",
            "size": 12,
            "action": "add header",
            "score": 7.0,
            "reply": "250 2.0.0 <a@b> Saved",
        }

    def test_what_stays_there_is_a_warning(self) -> None:
        found = self.parse("deliver: refused to=<a@b> id=<> size=12 because=550 5.1.1 <a@b> User doesn't exist")
        assert (found["level"], found["status"], found["error"]) == (
            "warning",
            "deferred",
            "550 5.1.1 <a@b> User doesn't exist",
        )
        assert "message_id" not in found

    @pytest.mark.parametrize(
        ("line", "level"),
        [
            ("fetchmail: Authorization failure on a@b", "warning"),
            ("fetchmail: No mail for a at b", "debug"),
            ("reading message a@b:1 of 1 (3 octets) flushed", "info"),
        ],
    )
    def test_how_bad_it_is(self, line: str, level: str) -> None:
        assert self.parse(line)["level"] == level
