"""Strangers who want to send to the world through us: however they write the address, and wherever they knock."""

from __future__ import annotations

import json
import secrets
import smtplib
from contextlib import ExitStack

import pytest

from tests.stack.clients import MAILOUT, MX, MX_SUBMISSION, MX_SUBMISSIONS, SUBMISSION, Answer, Door, Session, new_mail
from tests.stack.system import EXIMS, System

pytestmark = pytest.mark.stack

DOORS = (MX, MX_SUBMISSION, MX_SUBMISSIONS, *MAILOUT, SUBMISSION)
# {v} is the victim's local part, {sink} the address of its server, {mx} ours.
SHAPES = {
    "plain": "<{v}@outside.test>",
    "upper case": "<{v}@OUTSIDE.TEST>",
    "trailing dot": "<{v}@outside.test.>",
    "server's name": "<{v}@sink.outside.test>",
    "address literal": "<{v}@[{sink}]>",
    "IPv6 literal": "<{v}@[IPv6:::ffff:{sink}]>",
    "IPv6 loopback": "<{v}@[IPv6:::1]>",
    "address without brackets": "<{v}@{sink}>",
    "own address literal": "<{v}%outside.test@[{mx}]>",
    "percent hack": "<{v}%outside.test@example.test>",
    "percent hack twice": "<{v}%outside.test%example.test@example.test>",
    "percent hack by host": "<{v}%outside.test@mail.example.test>",
    "percent hack by localhost": "<{v}%outside.test@localhost>",
    "percent hack alone": "<{v}%outside.test>",
    "encoded": "<{v}%40outside.test@example.test>",
    "encoded NUL": "<{v}@outside.test%00@example.test>",
    "bang path": "<outside.test!{v}>",
    "bang path by us": "<outside.test!{v}@example.test>",
    "mixed path": "<example.test!{v}%outside.test@example.test>",
    "source route": "<@example.test:{v}@outside.test>",
    "source route by two": "<@mail.example.test,@example.test:{v}@outside.test>",
    "source route quoted": '<@example.test:"{v}"@outside.test>',
    "double at": "<{v}@outside.test@example.test>",
    "double at outside": "<{v}@example.test@outside.test>",
    "quoted": '<"{v}"@outside.test>',
    "quoted address": '<"{v}@outside.test">',
    "quoted address by us": '<"{v}@outside.test"@example.test>',
    "quoted percent hack": '<"{v}%outside.test"@example.test>',
    "quoted bang path": '<"outside.test!{v}"@example.test>',
    "escaped": "<{v}\\@outside.test@example.test>",
    "leading dot": "<.{v}@outside.test>",
    "leading dot by us": "<.{v}%outside.test@example.test>",
    "file": "</var/spool/{v}@example.test>",
    "pipe": '<"|/bin/echo {v}"@example.test>',
    "include": '<":include:/etc/{v}"@example.test>',
    "own subdomain": "<{v}@sub.example.test>",
    "own domain in front": "<{v}@example.test.outside.test>",
    "no brackets": "{v}@outside.test",
    "brackets twice": "<<{v}@outside.test>>",
    "space": "<{v} @outside.test>",
    "space and another": "<alice@example.test {v}@outside.test>",
    "comma": "<alice@example.test,{v}@outside.test>",
    "name": "Alice <{v}@outside.test>",
    "NUL": "<{v}@outside.test\0@example.test>",
    "tab": "<{v}\t@outside.test>",
    "postmaster": "<postmaster@outside.test>",
    "postmaster by route": "<@example.test:postmaster@outside.test>",
    "postmaster of a literal": "<postmaster@[{sink}]>",
    "postmaster by percent": "<postmaster%outside.test@example.test>",
    "parameter": "<{v}@outside.test> ORCPT=rfc822;alice@example.test",
    "beyond ASCII": "<{v}@oütside.test>",
}
SENDERS = (
    "<someone@outside.test>",
    "<>",
    "<alice@example.test>",
    "<postmaster@example.test>",
    "<root@localhost>",
    "<alice@[{mx}]>",
    "<someone@outside.test> AUTH=alice@example.test",
    "<@example.test:someone@outside.test>",
    "alice@example.test",
)
REFUSED = range(500, 600)


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_no_shape_gets_through(system: System, door: Door) -> None:
    """Every RCPT is refused for good, DATA after it too, and nothing arrives or waits anywhere."""
    victim = f"victim-{secrets.token_hex(4)}"
    tries = {name: ("<someone@outside.test>", shape) for name, shape in SHAPES.items()}
    assert accepted(system, door, tries, victim) == {}
    assert_nothing_of(system, victim)


@pytest.mark.parametrize("door", DOORS, ids=str)
def test_no_sender_opens_the_way(system: System, door: Door) -> None:
    """Neither a bounce's empty one nor one of ours."""
    victim = f"victim-{secrets.token_hex(4)}"
    shapes = ("plain", "percent hack", "address literal")
    tries = {f"{sender}, {shape}": (sender, SHAPES[shape]) for sender in SENDERS for shape in shapes}
    assert accepted(system, door, tries, victim) == {}
    assert_nothing_of(system, victim)


@pytest.mark.parametrize(
    "hello", ["localhost", "mail.example.test", "[127.0.0.1]", "smtp.example.test", "example.test"]
)
def test_no_greeting_opens_the_way(system: System, hello: str) -> None:
    """What a client calls itself is no reason to believe it."""
    for door in (MX, MAILOUT[0]):
        with system.smtp(door) as session:
            answers = [session.sent(f"EHLO {hello}")]
            if answers[0][0] == 250:  # otherwise it has hung up
                answers = [
                    session.sent(line) for line in ("MAIL FROM:<alice@example.test>", "RCPT TO:<a@outside.test>")
                ]
            assert answers[-1][0] in REFUSED


def test_a_container_that_is_not_named_cannot_relay(system: System) -> None:
    """Being in the network is not enough; the same container may write to members, as the world may."""
    script = """
import json, smtplib, sys
answers = {}
for host, port in (("mailout.example.test", 1025), ("mailout.example.test", 1587), ("mail.example.test", 1025)):
    with smtplib.SMTP(host, port, timeout=60) as smtp:
        smtp.ehlo("sink.outside.test")
        smtp.mail("alice@example.test")
        answers[f"{host} {port}"] = [smtp.rcpt(to)[0] for to in ("someone@outside.test", "bob@example.test")]
print(json.dumps(answers))
"""
    answers = json.loads(system.service("sink").run("python3", "-", stdin=script))
    assert answers == {
        "mailout.example.test 1025": [550, 550],
        "mailout.example.test 1587": [550, 550],
        "mail.example.test 1025": [550, 250],
    }


def test_a_recipient_that_is_good_does_not_take_others_along(system: System) -> None:
    """The message reaches the member, and nobody outside."""
    mail = new_mail("someone@outside.test", "bob@example.test")
    victim = f"victim-{secrets.token_hex(4)}"
    mail["Cc"] = f"{victim}@outside.test"
    with system.smtp(MX) as session:
        session.sent("MAIL FROM:<someone@outside.test>")
        assert session.sent("RCPT TO:<bob@example.test>")[0] == 250
        assert session.sent(f"RCPT TO:<{victim}@outside.test>")[0] in REFUSED
        assert session.sent("DATA")[0] == 354
        assert session.finished(bytes(mail))[0] == 250
    assert system.received("bob", mail)
    assert_nothing_of(system, victim)


@pytest.mark.parametrize("end", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r\n\0.\r\n"])
def test_a_second_message_cannot_be_smuggled_in(system: System, end: bytes) -> None:
    """Only CR LF dot CR LF ends a message: what comes after anything else is text, and obeyed by nobody."""
    mail = new_mail("someone@outside.test", "bob@example.test")
    inner = new_mail("admin@example.test", "bob@example.test", "Smuggled")
    commands = b"MAIL FROM:<admin@example.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n"
    with system.smtp(MX) as session:
        for command in ("MAIL FROM:<someone@outside.test>", "RCPT TO:<bob@example.test>", "DATA"):
            session.sent(command)
        outer = bytes(mail).replace(b"\n", b"\r\n").rstrip()
        session.send(outer + end + commands + bytes(inner).replace(b"\n", b"\r\n") + b"\r\n.\r\n")
        code, text = session.answered()
        end_code, end_text = session.sent("NOOP")
    # One message and one answer to NOOP, or a refusal; never answers to the inner commands.
    assert code in {250, *REFUSED}, text
    assert end_code in {250, 221, *REFUSED}, end_text
    if code == 250:
        assert system.received("bob", mail)
    assert not system.has("bob", inner)


def test_the_tables_would_find_an_open_door(system: System) -> None:
    """A member's message may go to the world: there the honest shapes are accepted, and the tricks are not."""
    found = set()
    with ExitStack() as stack:
        session = stack.enter_context(system.member(SUBMISSION, "alice"))
        for name, shape in SHAPES.items():
            answer = tried(session, "<alice@example.test>", written(system, shape, "someone"))
            if answer is None:
                session = stack.enter_context(system.member(SUBMISSION, "alice"))
            elif answer[0] == 250:
                found.add(name)
    assert {"plain", "upper case", "server's name", "quoted"} <= found
    assert not found & {"percent hack", "bang path by us", "quoted address by us", "pipe", "file", "double at"}


def accepted(system: System, door: Door, tries: dict[str, tuple[str, str]], victim: str) -> dict[str, Answer]:
    """Those of the tries, each a sender and a recipient, that were not refused for good, with their answers."""
    found = {}
    with ExitStack() as stack:
        session = stack.enter_context(system.smtp(door))
        for name, (sender, recipient) in tries.items():
            answer = tried(session, written(system, sender, victim), written(system, recipient, victim))
            if answer is None:
                session = stack.enter_context(system.smtp(door))
                answer = tried(session, written(system, sender, victim), written(system, recipient, victim))
            if answer is None or answer[0] not in REFUSED:
                found[name] = answer or (0, "hung up on the first try")
    return found


def tried(session: Session, sender: str, recipient: str) -> Answer | None:
    """The answer to a recipient, or to DATA after one that was refused; None where the server has hung up.

    It does so after a few commands that it does not understand.
    """
    try:
        session.sent("RSET")
        session.sent(f"MAIL FROM:{sender}")
        answer = session.sent(f"RCPT TO:{recipient}")
        return answer if answer[0] not in REFUSED else session.sent("DATA")
    except (OSError, smtplib.SMTPException):
        return None


def written(system: System, shape: str, victim: str) -> str:
    """The shape with names and addresses in it."""
    return shape.format(v=victim, sink=system.place(99), mx=system.place(3))


def assert_nothing_of(system: System, victim: str) -> None:
    """Neither the world nor a queue has anything for the victim."""
    assert victim not in json.dumps(system.sink())
    for name in EXIMS:
        assert victim not in system.queue(name)
