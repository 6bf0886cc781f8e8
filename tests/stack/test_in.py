"""Mail from the world to members, through exim-external."""

from __future__ import annotations

import re
import secrets
from email.message import EmailMessage

import pytest

from tests.containers import wait_until
from tests.stack.clients import MX, SOMEONE, SUBMISSION, new_mail, swaks
from tests.stack.system import System
from tools.demo.world import EICAR, EICAR_NAME

pytestmark = pytest.mark.stack

GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"


class TestDelivery:
    """What members get."""

    def test_a_message_arrives_in_the_inbox(self, system: System) -> None:
        """Over STARTTLS, unchanged, with the traces of its way; and only where it belongs."""
        mail = new_mail(SOMEONE, "alice@example.test", "Grüße an alle")
        assert system.come_in(mail, "alice@example.test")[0] == 250
        found = system.received("alice", mail)
        assert (found["Subject"], found["From"]) == (mail["Subject"], mail["From"])
        assert found.get_content() == mail.get_content()
        assert found["Return-path"] == f"<{SOMEONE}>"
        assert found["Envelope-to"] == "alice@example.test"
        assert re.search(r"from client\.outside\.test .* by mail\.example\.test with esmtps", way(found))
        assert not system.has("bob", mail)

    @pytest.mark.parametrize(
        ("recipient", "uid"),
        [("info@example.test", "bob"), ("ALICE@Example.TEST", "alice"), ("sales@example.test", "alice")],
    )
    def test_every_address_of_a_member_is_the_one_mailbox(self, system: System, recipient: str, uid: str) -> None:
        """Primary or alias, in any case."""
        mail = new_mail(SOMEONE, recipient)
        assert system.come_in(mail, recipient)[0] == 250
        assert system.received(uid, mail)["Envelope-to"].lower() == recipient.lower()

    def test_a_server_without_tls_is_served_as_well(self, system: System) -> None:
        """Port 25 of the world is not all TLS yet."""
        mail = new_mail(SOMEONE, "bob@example.test")
        with system.smtp(MX.without_tls()) as session:
            assert session.submitted(SOMEONE, "bob@example.test", mail)[0] == 250
        assert " with esmtp " in way(system.received("bob", mail))

    def test_a_bounce_from_outside_arrives(self, system: System) -> None:
        """The empty sender is for those (RFC 5321)."""
        mail = new_mail("mailer-daemon@outside.test", "alice@example.test", "Undelivered")
        assert system.come_in(mail, "alice@example.test", sender="")[0] == 250
        assert system.received("alice", mail)["Return-path"] == "<>"

    def test_swaks_gets_through(self, system: System) -> None:
        """A client that is not ours, with a verified certificate; and not without its authority."""
        mail = new_mail(SOMEONE, "bob@example.test")
        host, port = system.where(MX)
        common = [
            "--server",
            "localhost",
            "--port",
            str(port),
            "--helo",
            "client.outside.test",
            "--tls",
            "--tls-verify",
        ]
        envelope = ["--from", SOMEONE, "--to", "bob@example.test", "--data", str(mail)]
        done = swaks(*common, "--tls-ca-path", str(system.world.ca_file), *envelope)
        assert done.returncode == 0, done.stdout + done.stderr
        assert system.received("bob", mail)
        assert host == "127.0.0.1"
        assert swaks(*common, *envelope).returncode == 29  # no TLS


class TestRecipients:
    """Who is refused, and when: at RCPT, so that no bounce of ours ever goes to a forged sender."""

    @pytest.mark.parametrize(
        "recipient",
        [
            "nobody@example.test",
            "carol@example.test",  # in the directory, but not in the group
            "alice@sub.example.test",
            "al*@example.test",
            "*@example.test",
            '"*)(mail=*"@example.test',
            '"alice)(uid=*"@example.test',
            "alice\\2a@example.test",
        ],
    )
    def test_who_is_no_member_is_unknown(self, system: System, recipient: str) -> None:
        """550, and nothing more is told: carol's answer is nobody's."""
        with system.smtp(MX) as session:
            assert session.sent(f"MAIL FROM:<{SOMEONE}>")[0] == 250
            assert session.sent(f"RCPT TO:<{recipient}>")[0] in (550, 501)
            assert session.sent("DATA")[0] == 503
            assert session.sent("RCPT TO:<alice@example.test>")[0] == 250

    def test_of_many_recipients_the_members_are_served(self, system: System) -> None:
        """Each recipient has an answer of its own."""
        mail = new_mail(SOMEONE, "alice@example.test")
        recipients = ["alice@example.test", "nobody@example.test", "bob@example.test", "carol@example.test"]
        with system.smtp(MX) as session:
            session.sent(f"MAIL FROM:<{SOMEONE}>")
            assert [session.sent(f"RCPT TO:<{one}>")[0] for one in recipients] == [250, 550, 250, 550]
            assert session.sent("DATA")[0] == 354
            assert session.finished(bytes(mail))[0] == 250
        assert system.received("alice", mail)
        assert system.received("bob", mail)

    @pytest.mark.parametrize("command", ["VRFY alice@example.test", "EXPN alice@example.test", "ETRN example.test"])
    def test_members_cannot_be_asked_for(self, system: System, command: str) -> None:
        """Who has an address here is nobody's business."""
        with system.smtp(MX) as session:
            assert session.sent(command)[0] in (252, 458, 500, 502, 503, 550)

    def test_a_full_mailbox_is_refused(self, system: System) -> None:
        """552 at RCPT, and no bounce later; the other recipient of the same message gets it, and so does dave again."""
        mail = sized(new_mail(SOMEONE, "dave@example.test"), 1_200_000)
        assert system.come_in(mail, "dave@example.test")[0] == 250  # the last one may be larger than what is left
        assert system.received("dave", mail)
        second = new_mail(SOMEONE, "dave@example.test")
        with system.smtp(MX) as session:
            session.sent(f"MAIL FROM:<{SOMEONE}>")
            answers = [session.sent(f"RCPT TO:<{uid}@example.test>")[0] for uid in ("dave", "erin")]
            assert answers == [552, 250]
            session.sent("DATA")
            assert session.finished(bytes(second))[0] == 250
        assert system.received("erin", second)
        with system.imap("dave") as imap:
            imap.select("INBOX")
            imap.store("1:*", "+FLAGS", "\\Deleted")
            imap.expunge()
        assert system.come_in(new_mail(SOMEONE, "dave@example.test"), "dave@example.test")[0] == 250
        assert not [each for each in system.sink() if each["mail_from"] == "<>" and each["rcpt_tos"] == [SOMEONE]]


class TestViruses:
    """By way of rspamd to clamd, which knows EICAR's test file here; the messages differ in one letter."""

    VIRUS = bytes.fromhex(EICAR)
    CLEAN = VIRUS.replace(b"EICAR", b"RACIE")

    @pytest.mark.parametrize(("content", "wanted"), [(VIRUS, 550), (CLEAN, 250)])
    def test_from_outside(self, system: System, content: bytes, wanted: int) -> None:
        mail = with_attachment(SOMEONE, "bob@example.test", content)
        code, answer = system.come_in(mail, "bob@example.test")
        assert (code, EICAR_NAME in answer) == (wanted, wanted == 550)
        if wanted == 250:
            assert system.received("bob", mail)
        assert not system.has("bob", mail) or wanted == 250

    @pytest.mark.parametrize(("content", "wanted"), [(VIRUS, 550), (CLEAN, 250)])
    def test_of_a_member(self, system: System, content: bytes, wanted: int) -> None:
        mail = with_attachment("alice@example.test", SOMEONE, content)
        with system.member(SUBMISSION, "alice") as session:
            code, answer = session.submitted("alice@example.test", SOMEONE, mail)
        assert (code, EICAR_NAME in answer) == (wanted, wanted == 550)
        if wanted == 250:
            assert system.arrived(mail)

    def test_while_the_scanner_is_away_mail_waits(self, system: System) -> None:
        """451, and it is taken when clamd is back. (What has been seen within the last hour needs no other look.)"""
        mail = new_mail(SOMEONE, "alice@example.test")
        mail.set_content(f"{secrets.token_hex()}\n")
        with system.stopped("clamav"):
            code, answer = system.come_in(mail, "alice@example.test")
            assert (code, "virus scanner" in answer) == (451, True)
        wait_until(lambda: system.come_in(mail, "alice@example.test")[0] == 250, 60, "it is taken")
        assert system.received("alice", mail)


def with_attachment(sender: str, recipient: str, content: bytes) -> EmailMessage:
    """A message with a file, in base64."""
    mail = new_mail(sender, recipient)
    mail.add_attachment(content, maintype="application", subtype="octet-stream", filename="file.bin")
    return mail


class TestSize:
    """One limit, announced and kept."""

    def test_it_is_announced(self, system: System) -> None:
        """MESSAGE_SIZE_LIMIT is 3 MiB here."""
        with system.smtp(MX) as session:
            assert session.esmtp_features["size"] == str(3 * 1024**2)

    def test_what_says_to_be_too_large_is_refused_at_once(self, system: System) -> None:
        """552 to MAIL; what fits is accepted."""
        with system.smtp(MX) as session:
            assert session.sent(f"MAIL FROM:<{SOMEONE}> SIZE=3145729")[0] == 552
            assert session.sent(f"MAIL FROM:<{SOMEONE}> SIZE=2000000")[0] == 250

    def test_what_turns_out_too_large_is_refused(self, system: System) -> None:
        """552 after DATA; a message just below the limit arrives."""
        large = sized(new_mail(SOMEONE, "bob@example.test"), 3_200_000)
        assert system.come_in(large, "bob@example.test")[0] == 552
        fits = sized(new_mail(SOMEONE, "bob@example.test"), 3_000_000)
        assert system.come_in(fits, "bob@example.test")[0] == 250
        assert len(bytes(system.received("bob", fits))) > 3_000_000


class TestSpam:
    """rspamd's verdicts, and nobody else's."""

    def test_a_mark_from_outside_is_not_believed(self, system: System) -> None:
        """For rspamd it may be a reason to doubt, but what is written on the message is what rspamd says."""
        mail = new_mail(SOMEONE, "alice@example.test")
        mail["X-Spam-Flag"], mail["X-Spam-Score"] = "YES", "-100"
        wait_until(lambda: system.come_in(mail, "alice@example.test")[0] == 250, 30, "it is taken")
        found = system.received("alice", mail)
        assert found["X-Spam-Flag"] is None
        assert found["X-Spam-Score"] != "-100"

    def test_what_rspamd_marks_waits_and_goes_to_junk(self, system: System) -> None:
        """Greylisted first; when it comes again, it is marked and not in the inbox."""
        mail = doubtful()
        code, text = system.come_in(mail, "bob@example.test", sender=mail["From"])
        assert (code, "Try again later" in text) == (451, True)

        def again() -> bool:
            return system.come_in(mail, "bob@example.test", sender=mail["From"])[0] == 250

        wait_until(again, 30, "the greylisted message is taken")
        found = system.received("bob", mail, "Junk")
        assert found["X-Spam-Flag"] == "YES"
        assert float(found["X-Spam-Score"]) > 6.31
        assert not system.has("bob", mail)

    def test_certain_spam_is_refused(self, system: System) -> None:
        """550 after DATA, and it is nowhere; the same without that line arrives."""
        for text, wanted in ((GTUBE, 550), ("A line like others.", 250)):
            mail = new_mail(SOMEONE, "bob@example.test", "Offer")
            mail.set_content(f"{text}\n")
            code, answer = system.come_in(mail, "bob@example.test")
            assert (code, "spam" in answer) == (wanted, wanted == 550)
            if wanted == 250:
                assert system.received("bob", mail)
            else:
                assert mail["Message-ID"] not in system.queue("exim-external")
                assert not system.has("bob", mail)
                assert not system.has("bob", mail, "Junk")


def way(mail: EmailMessage) -> str:
    """The Received headers, newest first, in one line."""
    return " ".join(" ".join(mail.get_all("Received", [])).split())


def sized(mail: EmailMessage, size_bytes: int) -> EmailMessage:
    """The message with a body that makes it this large."""
    line = "All work and no play makes a dull mailbox, day after day.\n"
    mail.set_content(line * ((size_bytes - len(bytes(mail))) // len(line)))
    return mail


def doubtful() -> EmailMessage:
    """A message with so little in its head that rspamd's rules about that alone make it spam, but not certain spam."""
    mail = EmailMessage()
    # Greylisting knows messages by their text, and by sender and recipient: it has seen neither.
    mail["X-Test"] = name = secrets.token_hex(8)
    mail["From"] = f"stranger-{name}@outside.test"
    mail.set_content(f"Hello {name}\n")
    return mail
