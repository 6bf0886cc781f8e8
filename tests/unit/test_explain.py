"""`entrypoint explain`: what is asked, what is understood of the answers, and what people are told."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from entrypoint.check import faces
from entrypoint.cli import main
from entrypoint.errors import Unavailable, UsageError
from entrypoint.explain import exim, rules, stack, tell
from entrypoint.explain.daemons import Daemon, Said
from entrypoint.explain.directory import Directory, filled, names
from entrypoint.explain.findings import BAD, GOOD, NOTE, UNKNOWN, Finding, Part, Story
from entrypoint.explain.people import Filter, examine
from entrypoint.explain.questions import Question
from entrypoint.probes.ldap import Entry
from entrypoint.settings import Secret, read
from entrypoint.settings.concerns import Ldap
from entrypoint.settings.ldap_filters import dovecot_pattern, exim_pattern

ROUTE = Question(about="route", name="alice@example.org")
SEND = Question(about="send", name="alice@example.org", sender="bob@example.org", recipient="x@example.com")
LOGIN = Question(about="login", name="alice@example.org", password=Secret("s3cr3t"))


def finding(state: str = GOOD, text: str = "it is so", service: str = "imap") -> Finding:
    return Finding(service=service, step="filter", state=state, text=text, settings=("DOMAIN",), asked="exim -be")


def code(words: Sequence[str]) -> object:
    """What the command ends with; argparse does it its own way."""
    try:
        return main(words)
    except SystemExit as end:
        return end.code


class TestQuestion:
    """What is asked."""

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("", "has at least one character"),
            ("  ", "has at least one character"),
            ("a\r\nRCPT TO:<b>", "has control characters"),
            ("a\0", "has control characters"),
            ("a\x1b[2J", "has control characters"),
            ("a\udcff", "is not UTF-8"),
            ("a" * 1001, "longer than 1000 characters"),
        ],
    )
    def test_of_no_sense_is_refused(self, name: str, why: str) -> None:
        for question in (ROUTE, SEND, LOGIN):
            with pytest.raises(UsageError, match=why):
                replace(question, name=name)
        with pytest.raises(UsageError, match=why):
            replace(SEND, sender=name)

    def test_of_strange_names_is_not(self) -> None:
        """It is the daemons' business what they mean."""
        for name in ("*)(mail=*", "älice@example.org", "--help", "${run{/bin/true}}"):
            assert replace(ROUTE, name=name).name == name

    def test_comes_from_an_address_or_none(self) -> None:
        assert replace(ROUTE, client="2001:db8::1").client == "2001:db8::1"
        with pytest.raises(UsageError, match="cannot ask as 'mail': it is no IP address"):
            replace(ROUTE, client="mail")

    @pytest.mark.parametrize("question", [ROUTE, SEND, LOGIN], ids=lambda question: question.about)
    def test_goes_through_a_pipe_whole(self, question: Question) -> None:
        assert Question.from_json(question.to_json()) == question

    def test_shows_no_password(self) -> None:
        assert "s3cr3t" not in repr(LOGIN)
        assert "s3cr3t" in LOGIN.to_json()  # the pipe needs it

    @pytest.mark.parametrize(
        "words",
        [
            ("explain",),
            ("explain", "route"),
            ("explain", "route", ""),
            ("explain", "route", "a@b", "--role", "imap"),
            ("explain", "route", "a@b", "--client", "x"),
            ("explain", "send", "a", "for", "b"),
            ("explain", "send", "a", "as"),
            ("explain", "send", "a", "as", "b", "to"),
            ("explain", "login", "a", "b"),
        ],
    )
    def test_on_a_wrong_command_line_ends_with_64(self, words: Sequence[str]) -> None:
        assert code(words) == 64


class TestStory:
    """What comes of findings."""

    @pytest.mark.parametrize(
        ("states", "outcome", "code"),
        [
            ((GOOD, NOTE), GOOD, 0),
            ((GOOD, UNKNOWN, NOTE), UNKNOWN, 69),
            ((UNKNOWN, GOOD, BAD), BAD, 1),
            ((BAD,), BAD, 1),
        ],
    )
    def test_has_one_outcome(self, states: Sequence[str], outcome: str, code: int) -> None:
        """One no is a no, whatever is unknown beside it."""
        story = Story(question=ROUTE, findings=tuple(map(finding, states)))
        assert story.outcome() == outcome
        assert tell.EXIT_CODES[outcome] == code

    def test_part_goes_through_a_pipe_whole(self) -> None:
        """But for the password, which whoever asks has already."""
        part = Part(findings=(finding(BAD),), further=(("imap", LOGIN),))
        assert "s3cr3t" not in part.to_json()
        assert Part.from_json(part.to_json()) == replace(part, further=(("imap", replace(LOGIN, password=None)),))


class TestTelling:
    """What people and programs get to read."""

    def test_a_line_a_finding_and_a_verdict(self) -> None:
        found = (
            finding(GOOD, "one", "exim-external"),
            finding(NOTE, "two"),
            finding(BAD, "three"),
            finding(UNKNOWN, "4"),
        )
        assert tell.as_text(Story(question=ROUTE, findings=found)).splitlines() == [
            "exim-external  yes  one  (DOMAIN)",
            "imap           -    two  (DOMAIN)",
            "imap           NO   three  (DOMAIN)",
            "imap           ?    4  (DOMAIN)",
            "Mail to alice@example.org would not arrive: three",
        ]

    @pytest.mark.parametrize(
        ("question", "state", "sentence"),
        [
            (ROUTE, GOOD, "Mail to alice@example.org would arrive."),
            (ROUTE, UNKNOWN, "Whether mail to alice@example.org arrives cannot be said: why"),
            (SEND, GOOD, "alice@example.org may write as bob@example.org to x@example.com."),
            (SEND, BAD, "alice@example.org may not write as bob@example.org to x@example.com: why"),
            (LOGIN, GOOD, "alice@example.org logs in with this password."),
            (LOGIN, BAD, "alice@example.org does not log in with this password: why"),
            (replace(LOGIN, password=None), GOOD, "alice@example.org may log in."),
            (replace(LOGIN, password=None), UNKNOWN, "Whether alice@example.org may log in cannot be said: why"),
        ],
    )
    def test_verdicts_are_sentences(self, question: Question, state: str, sentence: str) -> None:
        assert tell.verdict(Story(question=question, findings=(finding(state, "why"),))) == sentence

    def test_what_is_the_worlds_leaves(self) -> None:
        story = Story(question=ROUTE, findings=(finding(service="exim-ext-mailout"),))
        assert tell.verdict(story) == "Mail to alice@example.org would leave."

    def test_programs_are_told_all_but_the_password(self) -> None:
        told = json.dumps(tell.as_json(Story(question=LOGIN, findings=(finding(BAD),))))
        assert "s3cr3t" not in told
        assert json.loads(told)["answer"] == "no"
        assert json.loads(told)["findings"][0]["settings"] == ["DOMAIN"]

    def test_a_terminal_is_not_written_to(self) -> None:
        """What a daemon repeats may have signs for the terminal in it."""
        assert "\x1b" not in tell.as_text(Story(question=ROUTE, findings=(finding(BAD, "\x1b[2J"),)))

    def test_colour_is_only_for_terminals(self) -> None:
        story = Story(question=ROUTE, findings=(finding(BAD),))
        assert "\x1b[31m" in tell.as_text(story, colour=True)
        assert "\x1b" not in tell.as_text(story)

    def test_in_a_container_others_are_named_once(self) -> None:
        told = tell.as_text(Story(question=ROUTE, findings=(finding(),), unasked=("imap", "imap")))
        assert told.count("(What imap has to do with it is asked on the host.)") == 1


class Recorded(Daemon):
    """Programs that say what they have said once."""

    def __init__(self, *said: Said, secrets: Sequence[str] = ()) -> None:
        super().__init__(env={}, hidden=faces(map(Secret, secrets)))
        object.__setattr__(self, "said", list(said))
        object.__setattr__(self, "argvs", [])
        object.__setattr__(self, "stdins", [])

    def ask(self, *argv: str, stdin: str = "") -> Said:
        self.argvs.append(argv)  # type: ignore[attr-defined]
        self.stdins.append(stdin)  # type: ignore[attr-defined]
        said: Said = self.said.pop(0)  # type: ignore[attr-defined]
        return said


HELLO = """>>> using ACL "acl_helo"
>>> processing "drop" (/run/config/exim.conf 90)
>>>   message: HELO with my own name
>>> check condition = ${if eqi{$sender_helo_name}{$primary_hostname}}
>>>                 =
>>> drop: condition test failed in ACL "acl_helo"
>>> processing "accept" (/run/config/exim.conf 92)
>>> accept: condition test succeeded in ACL "acl_helo"
>>> end of ACL "acl_helo": ACCEPT
>>> using ACL "acl_accept"
>>> processing "accept" (/run/config/exim.conf 97)
>>> accept: condition test succeeded in ACL "acl_accept"
>>> end of ACL "acl_accept": ACCEPT
"""
RECIPIENT = """>>> using ACL "acl_mx_rcpt"
>>> processing "deny" (/run/config/exim.conf 102)
>>>   message: 5.7.1 Relaying is not permitted
>>> check domains = ! +local_domains
>>> deny: condition test failed in ACL "acl_mx_rcpt"
>>> processing "{verb}" (/run/config/exim.conf 105)
>>> {verb}: condition test succeeded in ACL "acl_mx_rcpt"
>>> end of ACL "acl_mx_rcpt": {end}
"""
ANSWERS = """
**** SMTP testing session as if from host 192.0.2.1
**** but without any ident (RFC 1413) callback.
**** This is not for real!

220 mail.example.test ESMTP
250-mail.example.test Hello stranger.invalid [192.0.2.1]
250-SIZE 3145728
250 HELP
250 OK
{reply}
221 mail.example.test closing connection
"""


def session(reply: str, trace: str, *, secrets: Sequence[str] = ()) -> exim.Reply:
    said = Said(0, ANSWERS.format(reply=reply), HELLO + trace)
    return exim.Exim(Recorded(said, secrets=secrets)).session(
        client="192.0.2.1", port=1025, sender="a@b", recipient="c"
    )


class TestSession:
    """A simulated session, as Exim 4.98.2 has shown it."""

    def test_taken(self) -> None:
        reply = session("250 Accepted", RECIPIENT.format(verb="accept", end="ACCEPT"))
        assert (reply.accepted, reply.stage, str(reply)) == (True, "RCPT TO", "250 Accepted")
        assert reply.rule == "acl_mx_rcpt: accept in line 105 of /run/config/exim.conf"

    def test_refused_by_a_rule(self) -> None:
        reply = session("550 5.1.1 Unknown recipient", RECIPIENT.format(verb="deny", end="DENY"))
        assert (reply.accepted, reply.put_off, reply.malformed) == (False, False, False)
        assert reply.rule == "acl_mx_rcpt: deny in line 105 of /run/config/exim.conf"
        assert rules.meaning(reply) == ("no member has this address", ("EXIM_LDAP_USER_FILTER",))

    def test_put_off(self) -> None:
        """A rule whose question was not answered is the one that decides."""
        deferred = RECIPIENT.format(verb="deny", end="x").replace("succeeded", "deferred").rpartition(">>> end")[0]
        reply = session("451 Temporary local problem - please try later", deferred)
        assert (reply.put_off, reply.rule[:12]) == (True, "acl_mx_rcpt:")
        assert rules.meaning(reply)[0].startswith("the directory or DNS does not answer")

    def test_refused_by_exim_itself(self) -> None:
        """No list was asked about what is no address; the last one that was has accepted MAIL."""
        reply = session('501 <*)(mail=*>: "@" or "." expected after "*"', "")
        assert (reply.malformed, reply.rule) == (True, "Exim itself")

    def test_refused_before_the_recipient(self) -> None:
        """What comes after a refusal is only its consequence."""
        said = Said(
            0,
            ANSWERS.format(reply="503 sender not yet given").replace(
                "250 OK", "550 5.7.1 b@c is not one of your addresses"
            ),
            HELLO.replace('acl_accept": ACCEPT', 'acl_submission_mail": DENY'),
        )
        reply = exim.Exim(Recorded(said)).session(client="192.0.2.1", port=1587, sender="b@c", recipient="d", login="a")
        assert (reply.stage, reply.code, reply.acl) == ("MAIL FROM", 550, "acl_submission_mail")
        assert rules.meaning(reply)[1] == ("SPOOF_PROTECTION",)

    def test_that_does_not_begin(self) -> None:
        with pytest.raises(Unavailable, match=r"does not begin a session \(it ended with 1\)"):
            exim.Exim(Recorded(Said(1, "", "exim: no"))).session(client="::1", port=1025, sender="", recipient="c")

    def test_of_somebody_who_has_logged_in(self) -> None:
        """By options that Exim documents for it; commands come on stdin."""
        daemon = Recorded(Said(0, ANSWERS.format(reply="250 Accepted"), HELLO))
        exim.Exim(daemon).session(client="192.0.2.1", port=1587, sender="a@b", recipient="c@d", login="e@f")
        (argv,), (stdin,) = daemon.argvs, daemon.stdins  # type: ignore[attr-defined]
        assert argv[1:] == ("-oMi", "127.0.0.1.1587", "-oMaa", "plain", "-oMai", "e@f", "-bhc", "192.0.2.1")
        assert stdin.splitlines() == ["EHLO stranger.invalid", "MAIL FROM:<a@b>", "RCPT TO:<c@d>", "QUIT"]


class TestRouting:
    """Where mail is brought to, in Exim's words."""

    @pytest.mark.parametrize(
        ("said", "host"),
        [
            ("a@b\n  router = to_imap, transport = lmtp\n  host imap.b [192.0.2.5]\n", "imap.b [192.0.2.5], port 2525"),
            (
                "a@b\n  router = to_mx, transport = in\n  host mx.b [192.0.2.3] port=1025\n",
                "mx.b [192.0.2.3], port 1025",
            ),
            (
                "a@b\n  router = world, transport = world\n  host mx.b    [192.0.2.9] MX=10\n",
                "mx.b [192.0.2.9], port 2525",
            ),
        ],
    )
    def test_to_a_host(self, said: str, host: str) -> None:
        daemon = Recorded(Said(0, said, ""), Said(0, "serialize_hosts = \nport = 2525\nsocks_proxy = \n", ""))
        assert str(exim.Exim(daemon).route("a@b").hosts[0]) == host

    @pytest.mark.parametrize(
        ("said", "failure", "passing"),
        [
            ("a@b is undeliverable: Unrouteable address", "Unrouteable address", False),
            ("a@b failed to verify: Unknown recipient", "Unknown recipient", False),
            ("a@b cannot be resolved at this time: host lookup did not complete", "host lookup did not complete", True),
            ("syntax error: missing or malformed local part", "syntax error: missing or malformed local part", False),
        ],
    )
    def test_to_nowhere(self, said: str, failure: str, passing: bool) -> None:
        route = exim.Exim(Recorded(Said(2, f"{said}\n", ""))).route("a@b")
        assert (route.failure, route.passing, route.hosts) == (failure, passing, ())


# A password with everything in it that some syntax has another form for, as Exim's errors quote it.
PASSWORD = "/&\\|$%\"'{} #"


class TestSecrets:
    """Exim's errors have the directory's password in them."""

    @pytest.mark.parametrize(
        "text",
        [
            f'lookup of "user=cn=a pass={PASSWORD} ldaps:///x" gave DEFER: the reason',
            'failed to expand "${lookup ldap{ user=x pass=${quote:/&\\x5c|\\x24%\\x22 ldap',
            f'failed to expand "…": lookup of "user="cn=a" pass="{PASSWORD[:6]}',
            f'in "${{lookup ldap{{ pass=${{quote:/&\\x5c|"}} failed: lookup of "pass="{PASSWORD}"" gave DEFER: x',
            f'a reason that gave DEFER: and then "pass={PASSWORD[:6]}',
            f"anything else with {PASSWORD} in it",
        ],
    )
    def test_are_not_passed_on(self, text: str) -> None:
        """Whole, quoted or cut off."""
        said = Recorded(secrets=[PASSWORD]).plain(text)
        assert PASSWORD[:6] not in said
        assert "pass=" not in said

    def test_the_reason_is(self) -> None:
        text = f'lookup of "user=cn=a pass={PASSWORD} ldaps:///x" gave DEFER: failed to bind: timed out'
        assert Recorded(secrets=[PASSWORD]).plain(text).endswith("does not answer: failed to bind: timed out")

    def test_failed_expansions_say_why_without_them(self) -> None:
        out = f'> Failed: lookup of "user=cn=a pass={PASSWORD} ldaps:///x" gave DEFER: timed out\n> \n'
        with pytest.raises(Unavailable, match="timed out") as caught:
            exim.Exim(Recorded(Said(0, out, ""), secrets=[PASSWORD])).expanded("…")
        assert PASSWORD[:6] not in str(caught.value)

    def test_an_expansion_gives_its_value(self) -> None:
        assert exim.Exim(Recorded(Said(0, "> yes\n> \n", ""))).is_local("example.org")
        assert not exim.Exim(Recorded(Said(0, "> no\n> \n", ""))).is_local("example.com")


class TestFilters:
    """Our filters, with a name in their places."""

    def test_names_are_quoted(self) -> None:
        pattern = exim_pattern("local_part", "domain", needed="local_part").parse("(mail=$local_part@$domain)")
        assert filled(pattern, names("*)(mail=*@example.org")) == r"(mail=\2a\29\28mail=\2a@example.org)"

    def test_dovecots_parts(self) -> None:
        pattern = dovecot_pattern().parse("(&(mail=%u)(uid=%n)(dc=%d))")
        assert filled(pattern, names("a@b")) == "(&(mail=a@b)(uid=a)(dc=b))"
        assert filled(pattern, names("a")) == "(&(mail=a)(uid=a)(dc=))"


ALICE = Entry(
    "uid=alice,ou=people", {"mail": ("alice@example.org",), "gosamailalternateaddress": ("info@example.org",)}
)
BOB = Entry("uid=bob,ou=people", {"mail": ("bob@example.org",)})


class Known(Directory):
    """A directory that has some people with the address, of whom a filter finds some, and a group some."""

    def __init__(
        self, there: Sequence[Entry], found: Sequence[Entry], group: Sequence[Entry], dn: str | None = "cn=g"
    ) -> None:
        super().__init__(replace(SETTINGS, ldap_group=dn), ())
        self.there, self.by_filter, self.group = list(there), list(found), list(group)

    def with_address(self, address: str) -> list[Entry]:
        return self.there

    def found(self, pattern: str, base: str = "", scope: str = "sub") -> list[Entry]:
        return self.by_filter

    def is_member(self, entry: Entry) -> bool:
        return entry in self.group


SETTINGS = read(
    {"LDAP_HOSTS": "ldap.example.org", "LDAP_USER": "cn=mail", "LDAP_PASSWORD": "x", "LDAP_BASE": "ou=people"}, Ldap
).settings
FILTER = Filter(variable="LDAP_PASS_FILTER", pattern=dovecot_pattern().parse("(&(memberOf=cn=g)(mail=%u))"))


class TestPeople:
    """Whom a filter finds, and why not."""

    @pytest.mark.parametrize(
        ("known", "name", "told"),
        [
            (Known([], [], []), "x", [(BAD, "nobody has 'x': it is not in mail or gosaMailAlternateAddress of any")]),
            (
                Known([ALICE], [ALICE], [ALICE]),
                "Alice@example.org",
                [(GOOD, "is the primary address of uid=alice"), (GOOD, "is a member of cn=g"), (GOOD, "finds it")],
            ),
            (
                Known([ALICE], [ALICE], [ALICE]),
                "info@example.org",
                [
                    (GOOD, "is a further address of uid=alice,ou=people, whose mailbox is alice@"),
                    (GOOD, ""),
                    (GOOD, ""),
                ],
            ),
            (
                Known([ALICE], [], []),
                "alice@example.org",
                [(GOOD, "primary"), (BAD, "exists, but is not a member of cn=g, so LDAP_PASS_FILTER does not find it")],
            ),
            (
                Known([ALICE], [], [ALICE]),
                "alice@example.org",
                [
                    (GOOD, "primary"),
                    (GOOD, "is a member"),
                    (BAD, "asks for something else: (&(memberOf=cn=g)(mail=<user>"),
                ],
            ),
            (
                Known([ALICE], [ALICE], []),
                "alice@example.org",
                [
                    (GOOD, "primary"),
                    (NOTE, "is not itself a member of cn=g, but LDAP_PASS_FILTER finds it"),
                    (GOOD, ""),
                ],
            ),
            (
                Known([], [ALICE], [ALICE]),
                "alice",
                [(GOOD, "alice is found as uid=alice,ou=people, whose primary"), (GOOD, "member"), (GOOD, "finds it")],
            ),
            (
                Known([ALICE, BOB], [ALICE, BOB], [ALICE, BOB]),
                "info@example.org",
                [*[(GOOD, "")] * 4, (BAD, "finds 2 entries where one is wanted: uid=alice,ou=people and uid=bob,ou=")],
            ),
            (
                Known([ALICE], [ALICE], [], None),
                "alice@example.org",
                [(GOOD, "primary"), (GOOD, "the filter finds it")],
            ),
            (
                Known([ALICE], [], [], None),
                "alice@example.org",
                [(GOOD, "primary"), (BAD, "asks for something else")],
            ),
        ],
    )
    def test_are_told_with_the_reason(self, known: Known, name: str, told: Sequence[tuple[str, str]]) -> None:
        """Nobody; a member by both kinds of address; without the group, by other filters; two; no group at all."""
        findings = examine(known, "imap", name, FILTER).findings
        assert [each.state for each in findings] == [state for state, _ in told]
        assert [text for each, (_, text) in zip(findings, told, strict=True) if text not in each.text] == []

    def test_without_a_server_nobody_is_known(self) -> None:
        (found,) = examine(Directory(SETTINGS, ()), "imap", "alice", FILTER).findings
        assert (found.state, found.step) == (UNKNOWN, "directory")


SCRIPT = """#!/bin/sh
echo "$*" >>"$0.log"
case "$1 $*" in
  ps*service=mail-redis*) ;;
  ps*) echo "$*" | sed -n 's/.*service=//p';;
  exec*) cat "$0.$3" >&1; exit "$(cat "$0.$3.code" 2>/dev/null || echo 0)";;
esac
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `docker` in whose containers a part is what a file says."""
    program = tmp_path / "docker"
    program.write_text(SCRIPT)
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return program


def says(engine: Path, service: str, *findings: Finding, further: tuple[tuple[str, Question], ...] = ()) -> None:
    Path(f"{engine}.{service}").write_text(Part(findings=findings, further=further).to_json())


class TestStack:
    """The whole stack, asked from its host."""

    def test_one_asks_the_next(self, engine: Path) -> None:
        """In the order in which mail goes, each once."""
        says(engine, "exim-external", finding(text="first"), further=(("imap", ROUTE), ("imap", ROUTE)))
        says(engine, "imap", finding(text="second"), further=(("exim-external", ROUTE),))
        assert [each.text for each in stack.ask(ROUTE, "p").findings] == ["first", "second"]

    def test_a_login_is_for_reading_and_for_sending(self, engine: Path) -> None:
        says(engine, "imap", finding(text="reads"))
        says(engine, "exim-external", finding(text="sends"))
        assert [each.text for each in stack.ask(LOGIN, "p").findings] == ["reads", "sends"]
        assert "s3cr3t" not in Path(f"{engine}.log").read_text()

    def test_who_does_not_run_is_unknown_and_the_others_are_asked(self, engine: Path) -> None:
        says(engine, "exim-external", finding(), further=(("mail-redis", ROUTE), ("imap", ROUTE)))
        says(engine, "imap", finding(text="asked"))
        found = stack.ask(ROUTE, "p")
        assert [each.state for each in found.findings] == [GOOD, UNKNOWN, GOOD]
        assert found.findings[1].text.startswith("cannot ask mail-redis: it does not run in the project 'p'; start it")

    def test_an_older_image_is_told_as_such(self, engine: Path) -> None:
        Path(f"{engine}.exim-external").write_text("")
        Path(f"{engine}.exim-external.code").write_text("64")
        engine.write_text(SCRIPT.replace(">&1", ">&2; echo \"argument COMMAND: invalid choice: 'explain'\" >&2"))
        (found,) = stack.ask(ROUTE, "p").findings
        assert (found.state, "its image is older than this command" in found.text) == (UNKNOWN, True)

    def test_what_is_no_answer_is_told_as_such(self, engine: Path) -> None:
        Path(f"{engine}.exim-external").write_text("Segmentation fault")
        (found,) = stack.ask(ROUTE, "p").findings
        assert (found.state, found.text[:45]) == (UNKNOWN, "cannot understand what exim-external answers:")
