"""The demo's outside world takes a message, keeps it, and tells a good signature from a bad one."""

from __future__ import annotations

import asyncio
import smtplib
import threading
from collections.abc import Iterator
from pathlib import Path

import dkim
import pytest

from images.sink import sink
from tools.demo import keys

MAIL = (
    b"From: alice@example.test\r\nTo: someone@outside.test\r\n"
    b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMessage-ID: <1@example.test>\r\n\r\nHello\r\n"
)


@pytest.fixture(scope="module")
def signer(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, bytes]:
    """A key, and its record."""
    folder = tmp_path_factory.mktemp("dkim")
    record = keys.make_dkim_key(folder)
    return (folder / "dkim.key").read_bytes(), record.encode()


def signed(mail: bytes, key: bytes) -> bytes:
    return bytes(dkim.sign(mail, b"demo", b"example.test", key)) + mail


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """Where a sink takes mail, in another thread."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    listening = sink.listen(sink.Keeper(tmp_path), "127.0.0.1", 0, None)
    server = asyncio.run_coroutine_threadsafe(listening, loop).result(10)
    yield server.sockets[0].getsockname()[1]
    asyncio.run_coroutine_threadsafe(close(server), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def close(server: asyncio.Server) -> None:
    """End the server and every session, whose connections were closed by the other side."""
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def test_message_is_kept_byte_for_byte_with_its_envelope(port: int, tmp_path: Path) -> None:
    with smtplib.SMTP("127.0.0.1", port, local_hostname="mailout.example.test") as smtp:
        smtp.sendmail("alice@example.test", ["a@outside.test", "b@outside.test"], MAIL)
    [found] = sink.messages(tmp_path)
    assert (tmp_path / f"{found['id']}.eml").read_bytes() == MAIL
    assert found["mail_from"] == "alice@example.test"
    assert found["rcpt_tos"] == ["a@outside.test", "b@outside.test"]
    assert found["helo"] == "mailout.example.test"
    assert found["subject"] == "Grüße"
    assert found["message_id"] == "<1@example.test>"
    assert found["tls"] is None
    assert found["dkim"] == []


def test_messages_are_told_in_the_order_in_which_they_came(port: int, tmp_path: Path) -> None:
    for number in range(3):
        with smtplib.SMTP("127.0.0.1", port, local_hostname="x.test") as smtp:
            smtp.sendmail(f"{number}@example.test", ["a@outside.test"], MAIL)
    assert [found["mail_from"][0] for found in sink.messages(tmp_path)] == ["0", "1", "2"]


def test_good_signature_passes(signer: tuple[bytes, bytes]) -> None:
    key, record = signer
    asked = []

    def dns(name: bytes, **_options: object) -> bytes:
        asked.append(name)
        return record

    verdicts = sink.dkim_verdicts(signed(MAIL, key), dns)
    assert verdicts == [{"domain": "example.test", "selector": "demo", "result": "pass"}]
    assert asked == [b"demo._domainkey.example.test."]


def test_changed_message_fails(signer: tuple[bytes, bytes]) -> None:
    key, record = signer
    [verdict] = sink.dkim_verdicts(signed(MAIL, key).replace(b"Hello", b"Goodbye"), lambda _name, **_options: record)
    assert verdict["result"] == "fail"
    assert verdict["domain"] == "example.test"


def test_signature_without_a_key_in_dns_fails_with_a_reason(signer: tuple[bytes, bytes]) -> None:
    [verdict] = sink.dkim_verdicts(signed(MAIL, signer[0]), lambda _name, **_options: b"")
    assert verdict["result"] == "fail"
    assert verdict["reason"]


def test_broken_signature_fails_and_does_not_stop_the_sink() -> None:
    [verdict] = sink.dkim_verdicts(b"DKIM-Signature: nonsense\r\n" + MAIL)
    assert verdict["result"] == "fail"


def test_message_without_signature_has_no_verdict() -> None:
    assert sink.dkim_verdicts(MAIL) == []


def test_header_that_is_no_text_is_still_told(tmp_path: Path) -> None:
    sink.keep(tmp_path, {"id": "1"}, b"Subject: \xff\xfe\r\n\r\nx\r\n")
    assert sink.messages(tmp_path)[0]["subject"]


@pytest.mark.parametrize("arguments", [[], ["messages", "1"], ["message"], ["message", "../etc/passwd"]])
def test_wrong_command_line_ends_with_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert sink.main(arguments) == 64
    assert "sink messages" in capsys.readouterr().err


def test_health_says_what_answers_and_that_nothing_does(
    port: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sink, "PORT", port)
    assert sink.health() == 0
    monkeypatch.setattr(sink, "PORT", 1)
    assert sink.health() == 1
    assert "cannot talk to port 1" in capsys.readouterr().out
