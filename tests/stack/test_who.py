"""Who may log in, and as whom they may write."""

from __future__ import annotations

import imaplib
import subprocess
import sys

import pytest

from tests.containers import wait_until
from tests.stack.clients import FOR_MEMBERS, MX, SOMEONE, SUBMISSION, Door, new_mail
from tests.stack.system import HOSTILE, System
from tools.commands import ROOT

pytestmark = pytest.mark.stack

every_door = pytest.mark.parametrize("door", FOR_MEMBERS, ids=str)
both = pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])

# With alice's right password none of these is alice.
STRANGE_NAMES = [
    "",
    "*",
    "al*@example.test",
    "*)(mail=*",
    "alice@example.test)(|(mail=*",
    "alice@example.test)(uid=*))(|(uid=*",
    "alice",
    "uid=alice",
    "uid=alice,ou=people,dc=example,dc=test",
    "nobody@example.test\0alice@example.test",
    b"alice\xff@example.test",
    "älice@example.test",
    '"alice@example.test"',
    "alice@example.test'",
    "alice\\40example.test",
    "${run{/bin/true}}",
    "${lookup ldap{ldap:///?dn}}",
    "alice@example.test\r\nRSET",
    "alice@example.test " + "x" * 3000,
    "a" * 9000,
]


class TestLogin:
    """AUTH at the three ports for members, and IMAP."""

    @every_door
    def test_it_is_offered_only_behind_tls(self, system: System, door: Door) -> None:
        """PLAIN and LOGIN, and nothing before: a password in the clear is not even asked for."""
        with system.smtp(door) as session:
            assert session.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]
        if door.tls == "tls":
            return
        with system.smtp(door.without_tls()) as session:
            assert "auth" not in session.esmtp_features
            assert session.logged_in("alice@example.test", system.world.password("alice"))[0] == 503

    def test_it_is_no_business_of_the_world(self, system: System) -> None:
        """Port 25 is for servers: guessing passwords has to happen where it is watched."""
        with system.smtp(MX) as session:
            assert "auth" not in session.esmtp_features
            assert session.logged_in("alice@example.test", system.world.password("alice"))[0] == 503

    @every_door
    @both
    def test_a_member_gets_in(self, system: System, door: Door, mechanism: str) -> None:
        """With the primary address, an alias, in any case."""
        for name in ("alice@example.test", "sales@example.test", "ALICE@EXAMPLE.TEST"):
            with system.smtp(door) as session:
                assert session.logged_in(name, system.world.password("alice"), mechanism)[0] == 235

    @every_door
    @both
    def test_nobody_else_does(self, system: System, door: Door, mechanism: str) -> None:
        """Wrong, empty, another's, almost right; a stranger; and who is in the directory, but not in the group."""
        right = system.world.password("alice")
        tries = [("alice@example.test", word) for word in ("wrong", "", "*", right[:-1], f"{right} ", right.upper())]
        tries += [("alice@example.test", system.world.password("bob")), ("nobody@example.test", right)]
        tries += [("carol@example.test", system.world.password("carol")), ("carol@example.test", "")]
        tries += [("cn=postern,dc=example,dc=test", HOSTILE)]
        for name, word in tries:
            with system.smtp(door) as session:
                assert session.logged_in(name, word, mechanism)[0] == 535, name
                assert session.submitted("alice@example.test", SOMEONE, b"")[0] == 550, name

    @both
    @pytest.mark.parametrize("name", STRANGE_NAMES, ids=lambda name: repr(name)[:30])
    def test_a_strange_name_finds_nobody(self, system: System, name: str | bytes, mechanism: str) -> None:
        """Whatever it would mean in a filter, a DN, an expansion or a protocol."""
        with system.smtp(SUBMISSION) as session:
            code, text = session.logged_in(name, system.world.password("alice"), mechanism)
            assert code in (500, 501, 535), text
            assert session.submitted("alice@example.test", SOMEONE, b"")[0] in (500, 503, 550)

    def test_imap_takes_members_only(self, system: System) -> None:
        """The same people as for sending."""
        assert login_at_imap(system, "alice@example.test", system.world.password("alice"))
        assert login_at_imap(system, "info@example.test", system.world.password("bob"))
        assert not login_at_imap(system, "alice@example.test", "wrong")
        assert not login_at_imap(system, "alice@example.test", "")
        assert not login_at_imap(system, "carol@example.test", system.world.password("carol"))
        assert not login_at_imap(system, "*", system.world.password("alice"))
        assert not login_at_imap(system, "alice@example.test)(|(mail=*", system.world.password("alice"))

    def test_imap_wants_tls(self, system: System) -> None:
        """Before STARTTLS no login is offered, and none taken."""
        host, port = system.where(Door("imap", 1143))
        with imaplib.IMAP4(host, port, timeout=60) as session:
            assert "LOGINDISABLED" in session.capabilities
            with pytest.raises(imaplib.IMAP4.error):
                session.login("bob@example.test", system.world.password("bob"))
            session.starttls(system.tls())
            assert session.login("bob@example.test", system.world.password("bob"))[0] == "OK"

    def test_a_failure_is_logged_with_who_and_where(self, system: System) -> None:
        """And without the password, right or wrong."""
        word = "this-is-not-the-password"
        system.more_secrets.append(word)
        with system.smtp(SUBMISSION) as session:
            assert session.logged_in("bob@example.test", word)[0] == 535
        logs = system.service("exim-int-mailout")

        def logged() -> bool:
            lines = [
                e for e in logs.events() if "authenticator failed" in e["event"] and "bob@example.test" in e["event"]
            ]
            return any(e.get("address") == system.place(1) for e in lines)

        wait_until(logged, 10, "the failed login is logged")
        assert word not in logs.logs()


class TestAccounts:
    """People of the embedded directory, by the commands on the host."""

    PASSWORD = "a-word-of-gina's ü"
    ADDRESS = "gina@example.test"

    def test_who_comes_gets_mail_and_who_goes_does_not(self, system: System) -> None:
        """Login and RCPT follow at once: a new account, out of the group and in again, removed."""
        system.more_secrets.append(self.PASSWORD)
        assert self.lets_in(system) == (550, False, 535)
        self.told(system, "account", "add", self.ADDRESS, "--name", "Gina", "--quota", "1G", stdin=f"{self.PASSWORD}\n")
        assert self.lets_in(system) == (250, True, 235)
        mail = new_mail(SOMEONE, self.ADDRESS)
        assert system.come_in(mail, self.ADDRESS)[0] == 250
        self.told(system, "group", "remove", self.ADDRESS)
        assert self.lets_in(system) == (550, False, 535)
        self.told(system, "group", "add", self.ADDRESS)
        assert self.lets_in(system) == (250, True, 235)
        assert "/var/vmail/example.test/gina" in self.told(system, "account", "remove", self.ADDRESS, "--yes")
        assert self.lets_in(system) == (550, False, 535)
        assert "/new" in system.service("imap").run("find", "/var/vmail/example.test/gina")  # the mailbox stays

    def lets_in(self, system: System) -> tuple[int, bool, int]:
        """What the MX says to the recipient, and IMAP and submission to the login."""
        with system.smtp(MX) as session:
            session.sent(f"MAIL FROM:<{SOMEONE}>")
            recipient = session.sent(f"RCPT TO:<{self.ADDRESS}>")[0]
        with system.smtp(SUBMISSION) as session:
            sender = session.logged_in(self.ADDRESS, self.PASSWORD)[0]
        return recipient, login_at_imap(system, self.ADDRESS, self.PASSWORD), sender

    def told(self, system: System, *words: str, stdin: str = "") -> str:
        """What the command says, on the host."""
        command = [sys.executable, "-m", "entrypoint", *words, "--project", system.stack.project]
        done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout


# The envelope sender, the From: lines, and whether alice may write so.
SENDERS = [
    ("alice@example.test", ["alice@example.test"], True),
    ("sales@example.test", ["sales@example.test"], True),
    ("alice@example.test", ["Sales <sales@example.test>"], True),
    ("ALICE@Example.test", ['"Alice, sales" <Alice@EXAMPLE.test>'], True),
    ("alice@example.test", ["sales@example.test, alice@example.test"], True),
    ("", ["alice@example.test"], True),
    ("alice@example.test", [], True),  # it gets one
    ("bob@example.test", ["alice@example.test"], False),
    ("carol@example.test", ["alice@example.test"], False),
    ("nobody@example.test", ["alice@example.test"], False),
    (SOMEONE, ["alice@example.test"], False),
    ("*@example.test", ["alice@example.test"], False),
    ('"alice@example.test)(|(mail=*"@example.test', ["alice@example.test"], False),
    ("alice@example.test", ["bob@example.test"], False),
    ("alice@example.test", [SOMEONE], False),
    ("", ["bob@example.test"], False),
    ("alice@example.test", ["alice@example.test, bob@example.test"], False),
    ("alice@example.test", ["bob@example.test, alice@example.test"], False),
    ("alice@example.test", ["alice@example.test", "bob@example.test"], False),
    ("alice@example.test", ["Team: alice@example.test, bob@example.test;"], False),
    ("alice@example.test", ["alice@example.test <bob@example.test>"], False),
    ("alice@example.test", ["bob@example.test (alice@example.test)"], False),
    ("alice@example.test", ["*@example.test"], False),
    ("alice@example.test", ['"alice@example.test)(|(mail=*"@example.test'], False),
    ("alice@example.test", [""], False),
    ("alice@example.test", ["Nobody:;"], False),
    ("alice@example.test", ["alice@example.test, alice@example.test <bob@example.test>"], False),
]


class TestSender:
    """SPOOF_PROTECTION: in the envelope and in what readers see, a member is the member."""

    @pytest.mark.parametrize(("sender", "lines", "allowed"), SENDERS)
    def test_members_write_as_themselves(self, system: System, sender: str, lines: list[str], allowed: bool) -> None:
        """Any of the own addresses, and no other anywhere."""
        mail = new_mail("alice@example.test", "erin@example.test")
        del mail["From"]
        head = "".join(f"From: {line}\n" for line in lines)
        with system.member(SUBMISSION, "alice") as session:
            code, text = session.submitted(sender, "erin@example.test", head.encode() + bytes(mail))
        assert (code == 250, code in (250, 501, 550)) == (allowed, True), text

    @every_door
    def test_every_door_looks(self, system: System, door: Door) -> None:
        """One forged envelope and one forged head at each."""
        mail = new_mail("bob@example.test", "erin@example.test")
        with system.member(door, "alice") as session:
            assert session.submitted("bob@example.test", "erin@example.test", mail)[0] == 550
            assert session.submitted("alice@example.test", "erin@example.test", mail)[0] == 550

    def test_nobody_really_sent_it_for_somebody_else(self, system: System) -> None:
        """Programs show Sender: and Resent-From: as the true author; what a member writes there is left out."""
        mail = new_mail("alice@example.test", "erin@example.test")
        mail["Sender"] = mail["Resent-From"] = "bob@example.test"
        mail["X-Other"] = "stays"
        with system.member(SUBMISSION, "alice") as session:
            assert session.submitted("alice@example.test", "erin@example.test", mail)[0] == 250
        found = system.received("erin", mail)
        assert (found["Sender"], found["Resent-From"], found["X-Other"]) == (None, None, "stays")

    def test_the_world_is_for_those_who_may(self, system: System) -> None:
        """EXIM_PUBLIC_LDAP_USER_FILTER: the others write to members only."""
        only_alice = "(&(uid=alice)(mail=$authenticated_id))"
        with system.twin("exim-int-mailout", {"EXIM_PUBLIC_LDAP_USER_FILTER": only_alice}) as twin:
            twin.wait_healthy()
            answers = {}
            for uid in ("alice", "bob"):
                sender = f"{uid}@example.test"
                with system.smtp(SUBMISSION, at=(twin.address(), 1587)) as session:
                    assert session.logged_in(sender, system.world.password(uid))[0] == 235
                    session.sent(f"MAIL FROM:<{sender}>")
                    answers[uid] = [session.sent(f"RCPT TO:<{to}>") for to in (SOMEONE, "erin@example.test")]
            assert [code for code, _ in answers["alice"]] == [250, 250]
            assert [code for code, _ in answers["bob"]] == [550, 250]
            assert "only to members" in answers["bob"][0][1]


def login_at_imap(system: System, user: str, password: str) -> bool:
    """Whether IMAPS lets the person in."""
    host, port = system.where(Door("imap", 1993, "tls"))
    with imaplib.IMAP4_SSL(host, port, ssl_context=system.tls(), timeout=60) as session:
        try:
            return session.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())[0] == "OK"
        except imaplib.IMAP4.error:
            return False
