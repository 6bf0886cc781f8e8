"""Mail of members to the world, and to each other."""

from __future__ import annotations

from email.message import EmailMessage

import pytest

from tests.stack.clients import FOR_MEMBERS, SOMEONE, SUBMISSION, Door, new_mail, swaks
from tests.stack.system import UNKNOWN_DOMAIN, System
from tests.stack.test_in import GTUBE, way

pytestmark = pytest.mark.stack

every_door = pytest.mark.parametrize("door", FOR_MEMBERS, ids=str)


class TestToTheWorld:
    """Through submission and the smarthost."""

    @every_door
    def test_a_message_arrives_signed(self, system: System, door: Door) -> None:
        """By way of the smarthost alone; the signature is that of the domain in From:, which is what DMARC wants."""
        mail = new_mail("alice@example.test", SOMEONE, "Grüße nach draußen")
        with system.member(door, "alice") as session:
            assert session.submitted("alice@example.test", SOMEONE, mail)[0] == 250
        found = system.arrived(mail)
        assert found["dkim"] == [{"domain": "example.test", "selector": "demo", "result": "pass"}]
        assert (found["from"], found["mail_from"], found["rcpt_tos"]) == (
            "alice@example.test",
            "alice@example.test",
            [SOMEONE],
        )
        assert (found["helo"], found["peer"]) == ("mailout.example.test", system.place(8))
        assert found["tls"].startswith("TLSv1.")
        assert found["subject"] == "Grüße nach draußen"

    @every_door
    def test_nobody_sends_without_a_login(self, system: System, door: Door) -> None:
        """The same message is refused at MAIL."""
        mail = new_mail("alice@example.test", SOMEONE)
        with system.smtp(door) as session:
            code, text = session.submitted("alice@example.test", SOMEONE, mail)
            assert (code, "Log in first" in text) == (550, True)

    @pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
    def test_swaks_gets_through(self, system: System, mechanism: str) -> None:
        """A client that is not ours logs in, with a password that has everything in it; a wrong one is refused."""
        mail = new_mail("alice@example.test", SOMEONE)
        _, port = system.where(SUBMISSION)
        where = ["--server", "localhost", "--port", str(port), "--tls", "--tls-ca-path", str(system.world.ca_file)]
        login = ["--auth", mechanism, "--auth-user", "alice@example.test", "--auth-password"]
        what = ["--from", "alice@example.test", "--to", SOMEONE, "--data", str(mail)]
        done = swaks(*where, *login, system.world.password("alice"), *what)
        assert done.returncode == 0, done.stderr
        assert system.arrived(mail)["dkim"][0]["result"] == "pass"
        assert swaks(*where, *login, "wrong", *what).returncode == 28  # no login

    def test_what_cannot_be_delivered_comes_back(self, system: System) -> None:
        """The sender finds out in the own mailbox, for which recipient; what was delivered is not complained about."""
        mail = new_mail("bob@example.test", f"nobody@{UNKNOWN_DOMAIN}")
        with system.member(SUBMISSION, "bob") as session:
            assert session.submitted("bob@example.test", [f"nobody@{UNKNOWN_DOMAIN}", SOMEONE], mail)[0] == 250
        bounce = str(system.received("bob", answer_to(mail)))
        assert f"nobody@{UNKNOWN_DOMAIN}" in bounce
        assert SOMEONE not in bounce
        assert system.arrived(mail)["rcpt_tos"] == [SOMEONE]

    def test_spam_of_members_does_not_leave(self, system: System) -> None:
        """An account that was taken over must not ruin the name of all."""
        mail = new_mail("alice@example.test", SOMEONE)
        mail.set_content(f"{GTUBE}\n")
        with system.member(SUBMISSION, "alice") as session:
            assert session.submitted("alice@example.test", SOMEONE, mail)[0] == 550


class TestToMembers:
    """Mail that never leaves the house."""

    @every_door
    def test_it_goes_straight_to_the_mailbox(self, system: System, door: Door) -> None:
        """By LMTP, not through the smarthost, whose traces mail to the world has."""
        mail = new_mail("alice@example.test", "bob@example.test")
        with system.member(door, "alice") as session:
            assert session.submitted("alice@example.test", ["info@example.test", SOMEONE], mail)[0] == 250
        found = system.received("bob", mail)
        assert "mailout.example.test" not in way(found)
        assert found["DKIM-Signature"] is None
        outside = system.as_it_arrived(mail)
        assert "mailout.example.test" in way(outside)
        assert system.arrived(mail)["rcpt_tos"] == [SOMEONE]

    @every_door
    def test_an_unknown_member_is_refused(self, system: System, door: Door) -> None:
        """At RCPT, as from outside; a known one is accepted in the same session."""
        with system.member(door, "alice") as session:
            session.sent("MAIL FROM:<alice@example.test>")
            assert session.sent("RCPT TO:<nobody@example.test>")[0] == 550
            assert session.sent("RCPT TO:<carol@example.test>")[0] == 550
            assert session.sent("RCPT TO:<bob@example.test>")[0] == 250


def answer_to(mail: EmailMessage) -> EmailMessage:
    """A sign for System.received: the message that refers to this one."""
    sign = EmailMessage()
    sign["References"] = mail["Message-ID"]
    return sign
