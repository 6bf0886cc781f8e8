"""`entrypoint explain`: what it says would happen is what happens, in the same stack; and nothing happens by asking."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.stack.clients import MAILOUT, MX, MX_SUBMISSION, SOMEONE, SUBMISSION, Answer, Door, new_mail
from tests.stack.system import UNKNOWN_DOMAIN, System, leaks
from tests.stack.test_in import sized
from tests.stack.test_who import login_at_imap
from tools.commands import ROOT

pytestmark = pytest.mark.stack

LDAPMODIFY = ("ldapmodify", "-Q", "-Y", "EXTERNAL", "-H", "ldapi://%2Frun%2Fldapi")
# They are another thing in a filter, a pattern, an expansion, an address list, or on a terminal.
STRANGE_NAMES = [
    "*",
    "*)(mail=*",
    "*)(mail=*@example.test",
    "alice@example.test)(|(mail=*",
    "älice@example.test",
    "alice@example.test, bob@example.test",
    "${run{/bin/true}}@example.test",
    "$authenticated_id@example.test",
    "a%b@example.test",
    "/etc/passwd@example.test",
    '"alice"@example.test x',
    "<alice@example.test>",
    "--help@example.test",
    "alice\\40example.test",
    "a" * 900 + "@example.test",
]


def explain(system: System, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """The command on the host. Whatever it says, no secret of the world is in it, and no traceback."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    command = [sys.executable, "-m", "entrypoint", "explain", words[0], f"--project={system.stack.project}", *words[1:]]
    done = subprocess.run(
        command, cwd=ROOT, env=kept, input=stdin, capture_output=True, text=True, timeout=120, check=False
    )
    said = done.stdout + done.stderr
    assert leaks(said, system.secrets()) == []
    assert "Traceback" not in said
    return done


def told(system: System, *words: str, stdin: str = "") -> dict[str, Any]:
    """What it tells programs; its exit code fits."""
    done = explain(system, words[0], "--json", *words[1:], stdin=stdin)
    found: dict[str, Any] = json.loads(done.stdout)
    assert {"yes": 0, "no": 1, "unknown": 69}[found["answer"]] == done.returncode
    return found


def steps(found: dict[str, Any], state: str = "") -> dict[str, dict[str, Any]]:
    """The findings (of one kind) by service and step; the last of each."""
    return {f"{f['service']} {f['step']}": f for f in found["findings"] if f["state"] == state or not state}


def answered(system: System, recipient: str, sender: str = SOMEONE) -> Answer:
    """What the MX really says to a recipient."""
    with system.smtp(MX) as session:
        assert session.sent(f"MAIL FROM:<{sender}>")[0] == 250
        return session.sent(f"RCPT TO:<{recipient}>")


@contextmanager
def changed(system: System, *lines: str) -> Iterator[None]:
    """A time with another directory: `lines` are LDIF, first of the change and then of its reversal."""
    there, back = ("\n".join(part) + "\n" for part in (lines[: len(lines) // 2], lines[len(lines) // 2 :]))
    system.service("ldap").run(*LDAPMODIFY, stdin=there)
    try:
        yield
    finally:
        system.service("ldap").run(*LDAPMODIFY, stdin=back)


def with_address(uid: str, address: str) -> tuple[str, ...]:
    """LDIF that gives a member a further address, and takes it again."""
    entry = (f"dn: uid={uid},ou=people,dc=example,dc=test", "changetype: modify")
    value = f"gosaMailAlternateAddress: {address}"
    return (*entry, "add: gosaMailAlternateAddress", value, *entry, "delete: gosaMailAlternateAddress", value)


class TestRoute:
    """Where mail to an address goes."""

    def test_mail_to_a_member_arrives(self, system: System) -> None:
        """Every step says yes, and so it is: the message is in the mailbox that was named."""
        for address in ("erin@example.test", "sales@example.test"):
            found = told(system, "route", address)
            assert found["answer"] == "yes"
            good = steps(found, "good")
            names = ("domain", "directory", "group", "filter", "recipient", "session", "route")
            assert {f"exim-external {name}" for name in names} <= good.keys()
            assert "imap.example.test" in good["exim-external route"]["text"]
            assert good["exim-external route"]["text"].endswith("port 2525")
            assert "250 Accepted" in good["exim-external session"]["text"]
            owner = "alice" if address.startswith("sales") else "erin"
            assert f"the mailbox of {owner}@example.test" in good["imap mailbox"]["text"]
            mail = new_mail(SOMEONE, address)
            assert system.come_in(mail, address)[0] == 250
            system.received(owner, mail)

    def test_who_is_not_in_the_group_gets_none(self, system: System) -> None:
        """That she exists is told, and what is missing; the refusal is the real one, with its rule."""
        found = told(system, "route", "carol@example.test")
        bad = steps(found, "bad")
        assert found["answer"] == "no"
        assert "uid=carol,ou=people,dc=example,dc=test exists, but is not a member of" in found["verdict"]
        assert "LDAP_GROUP" in bad["exim-external group"]["settings"]
        code, text = answered(system, "carol@example.test")
        assert f'"{code} {text}"' in bad["exim-external session"]["text"]
        assert re.search(r"acl_mx_rcpt: deny in line \d+ of ", bad["exim-external session"]["text"])

    def test_the_rule_is_where_it_says(self, system: System) -> None:
        """The line of the configuration is a deny, with the message that was quoted."""
        session = steps(told(system, "route", "nobody@example.test"))["exim-external session"]
        number = int(re.findall(r"deny in line (\d+)", session["text"])[0])
        rule = system.service("exim-external").run("sed", "-n", f"{number - 2},{number + 2}p", "/run/config/exim.conf")
        assert "Unknown recipient" in rule
        assert "deny" in rule

    @pytest.mark.parametrize("address", ["nobody@example.test", "al*@example.test", "a%b@example.test", "alice"])
    def test_what_the_mx_refuses_is_refused_in_the_same_words(self, system: System, address: str) -> None:
        """Unknown, a wildcard, a percent hack, no address: code and text are those of the real session."""
        found = told(system, "route", address)
        code, text = answered(system, address)
        assert (found["answer"], code // 100) == ("no", 5)
        assert f'"{code} {text}"' in " ".join(f["text"] for f in found["findings"] if f["state"] == "bad")

    def test_mail_to_the_world_leaves_signed(self, system: System) -> None:
        """Over the smarthost, to the server that DNS names, with the key that signs; and strangers may not relay."""
        found = told(system, "route", SOMEONE, "--from", "bob@example.test")
        every = steps(found)
        assert found["answer"] == "yes"
        assert "may not send there through us" in every["exim-external session"]["text"]
        assert "smarthost.example.test" in every["exim-external route"]["text"]
        assert f"[{system.place(99)}], port 25, MX 10" in every["exim-ext-mailout route"]["text"]
        assert "EXIM_RELAY_HOSTS" in every["exim-ext-mailout session"]["settings"]
        assert "signed for example.test with the selector demo" in every["exim-ext-mailout signature"]["text"]
        mail = new_mail("bob@example.test", SOMEONE)
        with system.member(SUBMISSION, "bob") as session:
            assert session.submitted("bob@example.test", SOMEONE, mail)[0] == 250
        assert "s=demo" in str(system.as_it_arrived(mail)["DKIM-Signature"])

    def test_other_domains_are_not_signed(self, system: System) -> None:
        """Only domains with a key are."""
        signature = steps(told(system, "route", SOMEONE, "--from", "a@nowhere.test"))["exim-ext-mailout signature"]
        assert (signature["state"], signature["text"][:10]) == ("note", "not signed")

    def test_a_domain_without_a_server_is_nowhere(self, system: System) -> None:
        """In Exim's own words."""
        found = told(system, "route", f"someone@{UNKNOWN_DOMAIN}")
        assert found["answer"] == "no"
        assert "Unrouteable address" in steps(found, "bad")["exim-ext-mailout route"]["text"]

    def test_the_smarthost_takes_mail_of_known_hosts_only(self, system: System) -> None:
        """A host that is not in EXIM_RELAY_HOSTS is refused as it really is: this machine is none of them."""
        found = told(system, "route", SOMEONE, "--role", "exim-ext-mailout", "--client", system.place(1))
        session = steps(found, "bad")["exim-ext-mailout session"]
        assert session["settings"] == ["EXIM_RELAY_HOSTS", "EXIM_WHITELIST_NET"]
        with system.smtp(MAILOUT[0]) as client:
            client.sent("MAIL FROM:<a@elsewhere.test>")
            code, text = client.sent(f"RCPT TO:<{SOMEONE}>")
        assert f'"{code} {text}"' in session["text"]
        assert told(system, "route", SOMEONE, "--role", "exim-ext-mailout")["answer"] == "yes"

    def test_a_relay_is_named_with_its_variable(self, system: System) -> None:
        """In a role of its own, asked inside of its container: by domain, and for everything else."""
        changes = {"RELAY_DOMAINS": "partner.test=relay.outside.test:588", "DEFAULT_RELAY_HOST": "relay.outside.test"}
        with system.twin("exim-ext-mailout", changes) as twin:
            twin.wait_healthy()
            for domain, port, variable in (
                ("partner.test", 588, "RELAY_DOMAINS"),
                ("other.test", 587, "DEFAULT_RELAY_HOST"),
            ):
                found = json.loads(twin.run("entrypoint", "explain", "route", f"a@{domain}", "--json"))
                route = steps(found)["exim-ext-mailout route"]
                assert (route["state"], route["settings"]) == ("good", [variable])
                assert f"port {port}" in route["text"]
                assert "no login there" in steps(found)["exim-ext-mailout relay"]["text"]

    def test_a_full_mailbox_is_told(self, system: System) -> None:
        """Before and after: the quota, and the refusal that senders get."""
        assert told(system, "route", "dave@example.test")["answer"] == "yes"
        mail = sized(new_mail(SOMEONE, "dave@example.test"), 1_200_000)
        assert system.come_in(mail, "dave@example.test")[0] == 250  # the last one may be larger than what is left
        assert system.received("dave", mail)
        try:
            found = told(system, "route", "dave@example.test")
            code, text = answered(system, "dave@example.test")
            bad = steps(found, "bad")
            assert (found["answer"], code) == ("no", 552)
            assert f'"{code} {text}"' in bad["exim-external session"]["text"]
            assert "of 1 MiB are used" in bad["imap quota"]["text"]
        finally:
            command = ("doveadm", "-c", "/run/config/dovecot.conf", "expunge", "-u", "dave@example.test")
            system.service("imap").run(*command, "mailbox", "INBOX", "all")

    def test_nothing_is_delivered_or_logged(self, system: System) -> None:
        """No queue, no line in Exim's log, and the mailbox of somebody without mail is not made."""
        before = system.logs_since()["exim-external"]
        assert told(system, "route", "bob@example.test")["answer"] == "yes"
        assert told(system, "send", "bob@example.test", "as", "bob@example.test", "to", SOMEONE)["answer"] == "yes"
        after = system.logs_since()["exim-external"].removeprefix(before)
        events = [json.loads(line) for line in after.splitlines()]
        assert [event["event"] for event in events if event["program"] == "exim"] == []
        assert [system.queue(name) for name in ("exim-external", "exim-ext-mailout")] == ["", ""]


# Login, sender, recipient, and whether it may be so.
SENDING = [
    ("alice@example.test", "alice@example.test", SOMEONE, True),
    ("alice@example.test", "sales@example.test", "erin@example.test", True),
    ("sales@example.test", "alice@example.test", "erin@example.test", True),
    ("alice@example.test", "bob@example.test", "erin@example.test", False),
    ("alice@example.test", SOMEONE, "erin@example.test", False),
    ("alice@example.test", "nobody@example.test", SOMEONE, False),
    ("alice@example.test", "alice@example.test", "nobody@example.test", False),
    ("alice@example.test", "alice@example.test", "carol@example.test", False),
]


class TestSend:
    """Whether a member may write as somebody, at both doors."""

    @pytest.mark.parametrize(
        ("door", "case"), [*((MX_SUBMISSION, case) for case in SENDING), *((SUBMISSION, case) for case in SENDING[2:4])]
    )
    def test_is_answered_as_it_is(self, system: System, door: Door, case: tuple[str, str, str, bool]) -> None:
        """The same as a real session of that login; a refusal in the same words."""
        login, sender, recipient, allowed = case
        found = told(system, "send", login, "as", sender, "to", recipient, "--role", door.service)
        with system.smtp(door) as session:
            assert session.logged_in(login, system.world.password("alice"))[0] == 235
            code, text = session.sent(f"MAIL FROM:<{sender}>")
            if code == 250:
                code, text = session.sent(f"RCPT TO:<{recipient}>")
        assert (found["answer"], code) == (("yes", 250) if allowed else ("no", 550))
        if not allowed:
            assert f'"{code} {text}"' in " ".join(f["text"] for f in found["findings"] if f["state"] == "bad")

    def test_who_may_not_has_these_addresses(self, system: System) -> None:
        """So that the right one is found."""
        found = told(system, "send", "alice@example.test", "as", "bob@example.test")
        assert "its own addresses: alice@example.test, sales@example.test" in found["verdict"]
        assert "SPOOF_PROTECTION" in steps(found, "bad")["exim-external sender"]["settings"]

    def test_the_way_to_the_world_is_told(self, system: System) -> None:
        """As for a route: over the smarthost, signed for the sender."""
        found = told(system, "send", "alice@example.test", "as", "sales@example.test", "to", SOMEONE)
        every = steps(found)
        assert "may send through it" in every["exim-ext-mailout session"]["text"]
        assert "signed for example.test" in every["exim-ext-mailout signature"]["text"]

    @pytest.mark.parametrize(
        ("login", "why"), [("carol@example.test", "not a member"), ("nobody@example.test", "nobody")]
    )
    def test_who_may_not_log_in_may_not_send(self, system: System, login: str, why: str) -> None:
        """The reason is the login's, and nothing further is asked."""
        found = told(system, "send", login, "as", login, "to", SOMEONE)
        assert (found["answer"], why in found["verdict"]) == ("no", True)
        assert "exim-external sender" not in steps(found)

    def test_a_login_is_the_whole_address(self, system: System) -> None:
        """`alice` is nobody, and the cure is named."""
        done = explain(system, "send", "alice", "as", "alice@example.test")
        assert done.returncode == 1
        assert "log in with the whole address, such as alice@example.test" in done.stdout

    def test_the_world_is_for_those_who_may(self, system: System) -> None:
        """EXIM_PUBLIC_LDAP_USER_FILTER, in a role of its own, asked inside of its container."""
        only_alice = "(&(uid=alice)(mail=$authenticated_id))"
        with system.twin("exim-int-mailout", {"EXIM_PUBLIC_LDAP_USER_FILTER": only_alice}) as twin:
            twin.wait_healthy()
            answers = {}
            for uid in ("alice", "bob"):
                words = (f"{uid}@example.test", "as", f"{uid}@example.test", "to", SOMEONE, "--json")
                answers[uid] = json.loads(twin.run("entrypoint", "explain", "send", *words, check=False))
        assert [answers[uid]["answer"] for uid in ("alice", "bob")] == ["yes", "no"]
        refused = steps(answers["bob"], "bad")["exim-int-mailout recipient"]
        assert refused["settings"] == ["EXIM_PUBLIC_LDAP_USER_FILTER"]
        assert "You may write only to members" in refused["text"]


class TestLogin:
    """Whether somebody may log in, to read and to send."""

    @pytest.mark.parametrize("login", ["alice@example.test", "sales@example.test"])
    def test_a_member_may(self, system: System, login: str) -> None:
        """By the primary address and by another one, with the entry and the place of the mail."""
        found = told(system, "login", login)
        good = steps(found, "good")
        assert found["answer"] == "yes"
        assert {"imap login", "imap mailbox", "exim-external login"} <= good.keys()
        assert "uid=alice,ou=people,dc=example,dc=test" in good["imap directory"]["text"]
        assert "/var/vmail/example.test/alice" in good["imap mailbox"]["text"]

    def test_a_password_is_tried_when_it_is_asked_for(self, system: System) -> None:
        """At both daemons, as for a real login; alice's has all signs that anything could trip over."""
        right, wrong = system.world.password("alice"), "this-is-not-the-password"
        system.more_secrets.append(wrong)
        for password, answer in ((right, "yes"), (wrong, "no")):
            found = told(system, "login", "alice@example.test", "--password", stdin=f"{password}\n")
            states = {f["service"]: f["state"] for f in found["findings"] if f["step"] == "password"}
            state = "good" if answer == "yes" else "bad"
            assert (found["answer"], states) == (answer, {"imap": state, "exim-external": state})
            assert login_at_imap(system, "alice@example.test", password) == (answer == "yes")

    def test_no_password_is_no_question(self, system: System) -> None:
        """An empty one would be an anonymous login, which says nothing."""
        assert explain(system, "login", "alice@example.test", "--password", stdin="\n").returncode == 64

    def test_who_is_not_in_the_group_may_not(self, system: System) -> None:
        """She exists, which is told, and the daemons' own answers, to her right password too."""
        found = told(system, "login", "carol@example.test", "--password", stdin=system.world.password("carol"))
        bad = steps(found, "bad")
        assert found["answer"] == "no"
        assert "exists, but is not a member of cn=mail,ou=groups,dc=example,dc=test" in bad["imap group"]["text"]
        assert {"imap login", "imap password", "exim-external login"} <= bad.keys()

    def test_two_entries_with_one_address_are_one_too_many(self, system: System) -> None:
        """Both are named; nobody gets in by it, and mail to it is told to be in doubt. Afterwards all is well again."""
        with changed(system, *with_address("bob", "erin@example.test")):
            found = told(system, "login", "erin@example.test")
            assert found["answer"] == "no"
            assert "finds 2 entries where one is wanted: " in found["verdict"]
            assert all(f"uid={uid},ou=people" in found["verdict"] for uid in ("bob", "erin"))
            assert not login_at_imap(system, "erin@example.test", system.world.password("erin"))
            assert told(system, "route", "erin@example.test")["answer"] != "yes"
        assert told(system, "login", "erin@example.test")["answer"] == "yes"


class TestAsking:
    """Names that mean something else elsewhere, and who cannot be asked."""

    @pytest.mark.parametrize("name", STRANGE_NAMES, ids=lambda name: name[:20])
    def test_a_strange_name_is_nobody(self, system: System, name: str) -> None:
        """It is quoted, finds nobody, and lists nobody else: for mail, as a sender, and for both daemons as a login."""
        mx, imap = system.service("exim-external"), system.service("imap")
        for service, words in (
            (mx, ("route", "--", name)),
            (mx, ("send", "--", "alice@example.test", "as", name)),
            (imap, ("login", "--", name)),
        ):
            said = service.run("entrypoint", "explain", *words, check=False)
            assert (" NO " in said, "Traceback" in said, leaks(said, system.secrets())) == (True, False, []), said
            assert "erin" not in said
            assert name[:60] in said

    @pytest.mark.parametrize("name", ["", "a\nRCPT TO:<x>", b"\xff@example.test"])
    def test_what_is_no_name_is_not_asked(self, system: System, name: Any) -> None:
        """64, with the reason."""
        done = explain(system, "route", os.fsdecode(name))
        assert done.returncode == 64
        assert done.stderr.startswith("entrypoint: cannot explain ")

    def test_without_imap_its_part_is_missing(self, system: System) -> None:
        """69; what the others know is told all the same."""
        with system.stopped("imap"):
            for words in (("route", "alice@example.test"), ("login", "alice@example.test")):
                found = told(system, *words)
                assert found["answer"] == "unknown"
                assert "cannot ask imap: it does not run" in found["verdict"]
                assert any(f["service"] == "exim-external" and f["state"] == "good" for f in found["findings"])

    def test_without_the_directory_nobody_knows(self, system: System) -> None:
        """69, with the directory's reason; Exim's own words would have the password in them."""
        with system.stopped("ldap"):
            for words in (
                ("route", "alice@example.test"),
                ("login", "alice@example.test"),
                ("send", "alice@example.test", "as", "alice@example.test"),
            ):
                found = told(system, *words)
                assert found["answer"] == "unknown"
                assert "directory" in found["verdict"]

    def test_in_a_container_its_own_part_is_told(self, system: System) -> None:
        """For people, with a word about who else would have to be asked; a question of others is 64."""
        shown = system.service("exim-external").run("entrypoint", "explain", "route", "alice@example.test")
        assert "Mail to alice@example.test would arrive." in shown
        assert "(What imap has to do with it is asked on the host.)" in shown
        refused = system.service("mail-redis").run("entrypoint", "explain", "login", "alice", check=False)
        assert "cannot explain login in mail-redis: ask in exim-external, exim-int-mailout, imap" in refused

    def test_another_project_is_not_there(self, system: System) -> None:
        """69, with the name that was tried."""
        done = explain(system, "route", "alice@example.test", "--project", "postern-nobody")
        assert done.returncode == 69
        assert "'postern-nobody'" in done.stdout
