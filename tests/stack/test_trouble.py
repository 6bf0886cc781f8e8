"""When something is away, full or killed: what was acknowledged is never lost, and what cannot be done is said."""

from __future__ import annotations

import imaplib
import re

import pytest

from tests.containers import wait_until
from tests.stack.clients import MX, MX_SUBMISSION, SOMEONE, SUBMISSION, Answer, new_mail
from tests.stack.system import System, is_well
from tests.stack.test_in import sized

pytestmark = pytest.mark.stack

# Each service with the program that its supervisor runs.
DAEMONS = {
    "exim-ext-mailout": "exim",
    "exim-external": "exim",
    "exim-int-mailout": "exim",
    "imap": "dovecot",
    "ldap": "slapd",
    "mail-dnsmasq": "dnsmasq",
    "mail-redis": "redis",
    "rspam": "rspamd",
}


class TestAway:
    """A service that others need is stopped, and comes back."""

    def test_without_imap_mail_waits(self, system: System) -> None:
        """In the queue of the MX, over a restart of the MX, and it is delivered when imap is back."""
        mail = new_mail(SOMEONE, "alice@example.test")
        with system.stopped("imap"):
            name = queued_as(system.come_in(mail, "alice@example.test"))
            assert name in system.queue("exim-external")
            with system.stopped("exim-external"):
                pass
            assert name in system.queue("exim-external")
        system.hurry("exim-external")
        assert system.received("alice", mail)
        wait_until(lambda: name not in system.queue("exim-external"), 10, "it has left the queue")

    def test_without_the_smarthost_mail_waits(self, system: System) -> None:
        """In the queue of the submission server."""
        mail = new_mail("bob@example.test", SOMEONE)
        with system.stopped("exim-ext-mailout"):
            with system.member(SUBMISSION, "bob") as session:
                name = queued_as(session.submitted("bob@example.test", SOMEONE, mail))
            assert name in system.queue("exim-int-mailout")
        system.hurry("exim-int-mailout")
        assert system.arrived(mail)["dkim"][0]["result"] == "pass"

    def test_without_the_directory_nobody_is_refused_for_good(self, system: System) -> None:
        """Senders and members are asked to try again: 4xx for recipients, logins, senders; later all is as before."""
        with system.member(MX_SUBMISSION, "bob") as before, system.stopped("ldap"):
            with system.smtp(MX) as session:
                session.sent(f"MAIL FROM:<{SOMEONE}>")
                assert session.sent("RCPT TO:<nobody@example.test>")[0] == 451
            for mechanism in ("PLAIN", "LOGIN"):
                with system.smtp(SUBMISSION) as session:
                    code, _ = session.logged_in("alice@example.test", system.world.password("alice"), mechanism)
                    assert code in (435, 454)
            assert before.sent("MAIL FROM:<bob@example.test>")[0] == 451
            with pytest.raises(imaplib.IMAP4.error, match=r"UNAVAILABLE|[Tt]emporary"), system.imap("alice"):
                pass
        with system.smtp(MX) as session:
            session.sent(f"MAIL FROM:<{SOMEONE}>")
            assert session.sent("RCPT TO:<alice@example.test>")[0] == 250
            assert session.sent("RCPT TO:<nobody@example.test>")[0] == 550

    def test_without_a_verdict_nothing_is_taken(self, system: System) -> None:
        """451 after DATA, from outside and from members; the same message is taken when rspamd is back."""
        mail = new_mail(SOMEONE, "bob@example.test")
        own = new_mail("alice@example.test", "bob@example.test")
        with system.stopped("rspam"):
            assert system.come_in(mail, "bob@example.test")[0] == 451
            with system.member(SUBMISSION, "alice") as session:
                assert session.submitted("alice@example.test", "bob@example.test", own)[0] == 451
            assert system.queue("exim-external") == system.queue("exim-int-mailout") == ""
        assert system.come_in(mail, "bob@example.test")[0] == 250
        assert system.received("bob", mail)
        assert not system.has("bob", own)

    def test_without_redis_mail_flows(self, system: System) -> None:
        """What rspamd remembers is not worth stopping the mail."""
        mail = new_mail(SOMEONE, "bob@example.test")
        with system.stopped("mail-redis"):
            assert system.come_in(mail, "bob@example.test")[0] == 250
            assert system.received("bob", mail)


class TestFull:
    """A disk that is full."""

    def test_a_full_queue_takes_nothing_and_loses_nothing(self, system: System) -> None:
        """452 to MAIL; 4xx even to a message that has begun; and with room everything goes on."""
        spool = "--tmpfs=/var/spool/exim:mode=0770,uid=5025,size=16m"
        with system.twin("exim-external", {"MESSAGE_SIZE_LIMIT": "3M"}, options=[spool]) as twin:
            twin.wait_healthy()
            here = (twin.address(), 1025)
            begun = sized(new_mail(SOMEONE, "bob@example.test"), 2_000_000)
            with system.smtp(MX, at=here) as session:
                for command in (f"MAIL FROM:<{SOMEONE}>", "RCPT TO:<bob@example.test>", "DATA"):
                    assert session.sent(command)[0] in (250, 354)
                twin.run("sh", "-c", "cat /dev/zero > /var/spool/exim/filler 2> /dev/null || true")
                code, text = session.finished(bytes(begun))
                assert code in (451, 452), text
            with system.smtp(MX, at=here) as session:
                assert session.sent(f"MAIL FROM:<{SOMEONE}>")[0] == 452
            assert is_well(twin)
            twin.run("rm", "/var/spool/exim/filler")
            with system.smtp(MX, at=here) as session:
                assert session.submitted(SOMEONE, "bob@example.test", begun)[0] == 250
            assert system.received("bob", begun)
            wait_until(lambda: twin.run("exim4", "-bp") == "", 10, "the queue is empty")


@pytest.mark.parametrize("service", DAEMONS)
def test_a_killed_daemon_is_back(system: System, service: str) -> None:
    """kill -9: another process in the same container, and the service is healthy again."""
    container, program = system.service(service), DAEMONS[service]
    before, started = container.pid_of(program), container.state()["StartedAt"]
    container.run("sh", "-c", f"kill -9 {before}")
    wait_until(lambda: container.pid_of(program) not in (0, before), 10, "another process")
    wait_until(lambda: is_well(container), 30, "healthy again")
    assert container.state()["StartedAt"] == started


def queued_as(answer: Answer) -> str:
    """Exim's name for the message that it has taken."""
    found = re.search(r"id=(\S+)", answer[1])
    assert answer[0] == 250
    assert found, answer
    return found[1]
