"""doctor tls finds what clients complain about, at real servers with TLS."""

from __future__ import annotations

import datetime as dt
import json
import ssl
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from entrypoint import cli
from tests.unit.authority import Authority
from tests.unit.servers import Converse, Lines, Peer, Server, closes, says, silence

NAMES = ",".join(f"DNS:{name}.example.org" for name in ("mail", "imap", "smtp", "mailout", "smarthost"))
Pair = tuple[Path, Path]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki") / "ca")


@pytest.fixture(scope="module")
def pair(authority: Authority) -> Pair:
    return authority.certificate(NAMES)


def context(pair: Pair, oldest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(*pair)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of versions that nobody should use
        made.minimum_version = oldest
    made.set_ciphers("DEFAULT:@SECLEVEL=0")
    return made


@pytest.fixture
def serve() -> Iterator[Callable[..., int]]:
    """Starts a server for the length of a test; its port."""
    with ExitStack() as stack:

        def start(converse: Converse = silence, tls: ssl.SSLContext | None = None) -> int:
            return stack.enter_context(Server(converse, tls)).port

        yield start


@pytest.fixture
def look(
    tmp_path: Path, authority: Authority, pair: Pair, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, list[dict[str, Any]]]]:
    """Looks at the stack whose ports are given: the exit code, and the findings, the files' own first."""

    def run(files: Pair = pair, **ports: int) -> tuple[int, list[dict[str, Any]]]:
        env = {
            "DOMAIN": "example.org",
            "COMPOSE_PROFILES": "local",
            "TLS_FULLCHAIN_FILE": str(files[0]),
            "TLS_PRIVKEY_FILE": str(files[1]),
            "TLS_CA_FILE": str(authority.ca_file),
            **{name.upper(): f"127.0.0.1:{port}" for name, port in ports.items()},
        }
        (tmp_path / ".env").write_text("".join(f"{name}={value}\n" for name, value in env.items()))
        code = cli.main(["doctor", "tls", "--env-file", str(tmp_path / ".env"), "--json"])
        found = json.loads(capsys.readouterr().out)
        return code, [each for each in found if not each["port"] or each["port"] in ports.values()]

    return run


Look = Callable[..., tuple[int, list[dict[str, Any]]]]


def smtp(tls: ssl.SSLContext) -> Lines:
    return Lines("220 mail ESMTP\r\n", {"EHLO": "250-mail\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n"}, tls)


def imap(tls: ssl.SSLContext) -> Lines:
    answers = {". CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\n. OK done\r\n", ". STARTTLS": ". OK go\r\n"}
    return Lines("* OK ready\r\n", answers, tls)


def sieve(tls: ssl.SSLContext) -> Lines:
    return Lines('"SIEVE" "fileinto"\r\n"STARTTLS"\r\nOK "ready"\r\n', {"STARTTLS": 'OK "go"\r\n'}, tls, 'OK "in"\r\n')


def without_starttls(peer: Peer) -> None:
    peer.send(b"220 mail ESMTP\r\n")
    for answer in (b"250 mail\r\n", b"502 what?\r\n"):
        peer.line()
        peer.send(answer)


class TestStack:
    def test_good_ports_are_ok_in_each_protocol(self, look: Look, serve: Callable[..., int], pair: Pair) -> None:
        tls = context(pair)
        ports = {
            "smtp_port": serve(smtp(tls)),
            "submissions_port": serve(tls=tls),
            "imap_port": serve(imap(tls)),
            "imaps_port": serve(tls=tls),
            "managesieve_port": serve(sieve(tls)),
        }
        _, (files, *found) = look(**ports)
        assert files["result"] == "ok"
        assert files["days"] > 10_000
        assert [each["result"] for each in found] == ["ok"] * 5, found
        assert {tuple(each["versions"]) for each in found} == {("1.2", "1.3")}
        assert {(each["port"], each["starttls"]) for each in found} == {
            (ports["smtp_port"], "smtp"),
            (ports["submissions_port"], ""),
            (ports["imap_port"], "imap"),
            (ports["imaps_port"], ""),
            (ports["managesieve_port"], "sieve"),
        }

    def test_whatever_is_older_than_1_2_is_wrong(self, look: Look, serve: Callable[..., int], pair: Pair) -> None:
        code, (_, found) = look(imaps_port=serve(tls=context(pair, ssl.TLSVersion.TLSv1)))
        assert code == 1
        assert found["versions"] == ["1.0", "1.1", "1.2", "1.3"]
        assert found["faults"] == ["offers TLS 1.0 and 1.1, which are broken"]

    def test_only_the_newest_is_ok(self, look: Look, serve: Callable[..., int], pair: Pair) -> None:
        _, (_, found) = look(imaps_port=serve(tls=context(pair, ssl.TLSVersion.TLSv1_3)))
        assert (found["result"], found["versions"]) == ("ok", ["1.3"])

    def test_a_renewed_certificate_that_is_not_taken(
        self, look: Look, serve: Callable[..., int], authority: Authority, pair: Pair
    ) -> None:
        code, (files, found) = look(authority.certificate(NAMES), imaps_port=serve(tls=context(pair)))
        assert (code, files["result"]) == (1, "ok")
        assert len(found["faults"]) == 1
        assert found["faults"][0].startswith("not the certificate in TLS_FULLCHAIN_FILE=")
        assert "renewed but not taken? docker compose kill -s HUP imap" in found["faults"][0]

    def test_an_expired_one(self, look: Look, serve: Callable[..., int], authority: Authority) -> None:
        old = authority.certificate(NAMES, ends="20200101000000Z")
        code, (files, found) = look(old, imaps_port=serve(tls=context(old)))
        assert code == 1
        assert "it expired on Jan  1 00:00:00 2020 GMT; renew it" in files["faults"][0]
        assert files["faults"][0].startswith(f"cannot use TLS_FULLCHAIN_FILE={old[0]}: ")
        assert found["days"] < -2000
        assert found["faults"][0].startswith("the certificate expired ")

    def test_one_that_ends_soon_is_a_warning(
        self, look: Look, serve: Callable[..., int], authority: Authority, pair: Pair
    ) -> None:
        end = dt.datetime.now(dt.UTC) + dt.timedelta(days=9, hours=1)
        soon = authority.certificate(NAMES, ends=f"{end:%Y%m%d%H%M%SZ}")
        _, (files, found) = look(soon, imaps_port=serve(tls=context(soon)))
        assert (files["result"], found["result"]) == ("warning", "warning")
        assert files["doubts"] == found["doubts"] == ["expires in 9 days: renew it"]

    def test_one_for_other_names(self, look: Look, serve: Callable[..., int], authority: Authority) -> None:
        other = authority.certificate("DNS:www.example.org")
        _, (files, found) = look(other, imaps_port=serve(tls=context(other)))
        assert "it is not for imap.example.org and mail.example.org" in files["faults"][0]
        assert found["faults"] == ["the certificate is for www.example.org"]

    def test_a_key_of_another_certificate(self, look: Look, authority: Authority, pair: Pair) -> None:
        code, (files, *_) = look((pair[0], authority.certificate(NAMES)[1]))
        assert code == 1
        assert "the key is that of another certificate" in files["faults"][0]

    def test_a_chain_with_and_without_its_middle(
        self, look: Look, serve: Callable[..., int], authority: Authority, tmp_path: Path
    ) -> None:
        middle = authority.intermediate(tmp_path / "middle")
        alone, key = middle.certificate(NAMES)
        whole = tmp_path / "whole.pem"
        whole.write_text(alone.read_text() + middle.ca_file.read_text())
        _, (_, found) = look((whole, key), imaps_port=serve(tls=context((whole, key))))
        assert found["result"] == "ok", found
        _, (_, found) = look((alone, key), imaps_port=serve(tls=context((alone, key))))
        assert found["faults"] == ["no chain to a known authority (unable to get local issuer certificate)"]

    @pytest.mark.parametrize(
        ("converse", "told"),
        [
            (closes, "tls: does not speak TLS on this port"),
            (says(b"* OK plain\r\n"), "tls: does not speak TLS on this port"),
        ],
    )
    def test_a_port_without_tls(self, look: Look, serve: Callable[..., int], converse: Converse, told: str) -> None:
        code, (_, found) = look(imaps_port=serve(converse))
        assert (code, found["faults"]) == (1, [told])

    def test_a_port_that_does_not_offer_starttls(self, look: Look, serve: Callable[..., int]) -> None:
        _, (_, found) = look(smtp_port=serve(without_starttls))
        assert found["faults"] == ["tls: does not offer STARTTLS"]

    def test_a_port_where_nobody_listens(self, look: Look, serve: Callable[..., int]) -> None:
        with Server(silence) as server:
            port = server.port
        code, (_, found) = look(imaps_port=port)
        assert (code, found["faults"]) == (1, ["tcp: connection refused"])

    def test_only_ports_of_services_that_run_here_are_looked_at(
        self, look: Look, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        look()
        for profiles, services in (
            ("local", {"imap", "exim-external", "exim-int-mailout"}),
            ("global", {"exim-ext-mailout"}),
        ):
            text = (tmp_path / ".env").read_text().replace("COMPOSE_PROFILES=local", f"COMPOSE_PROFILES={profiles}")
            (tmp_path / f"{profiles}.env").write_text(text)
            cli.main(["doctor", "tls", "--env-file", str(tmp_path / f"{profiles}.env"), "--json"])
            assert {each["service"] for each in json.loads(capsys.readouterr().out)} == services | {""}


class TestCommand:
    def test_shows_a_table(
        self, serve: Callable[..., int], authority: Authority, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        (tmp_path / "env").write_text(f"TLS_CA_FILE={authority.ca_file}\n")
        good, bad = (
            serve(tls=context(authority.certificate(names))) for names in ("DNS:localhost", "DNS:b.test,DNS:c.test")
        )
        ports = ("--port", str(good), "--port", str(bad))
        env = ("--env-file", str(tmp_path / "env"))
        assert cli.main(["doctor", "tls", "--host", "localhost", *ports, *env]) == 1
        shown = capsys.readouterr().out
        assert len(shown.splitlines()) == 3, shown
        heads, first, second = (line.split() for line in shown.splitlines())
        assert heads == ["RESULT", "PORT", "NAME", "TLS", "VERSIONS", "DAYS", "TOLD"]
        assert first[:6] == ["ok", str(good), "localhost", "TLS", "1.2", "1.3"]
        assert second[:3] == ["wrong", str(bad), "localhost"]
        assert " ".join(second[7:]) == "the certificate is for b.test, c.test"

    def test_an_unknown_authority_is_told(
        self, serve: Callable[..., int], authority: Authority, capsys: pytest.CaptureFixture[str]
    ) -> None:
        port = serve(smtp(context(authority.certificate("DNS:localhost"))))
        command = ["doctor", "tls", "--host", "localhost", "--port", str(port), "--starttls", "smtp"]
        assert cli.main(command) == 1
        assert "STARTTLS" in (shown := capsys.readouterr().out)
        assert "no chain to a known authority" in shown

    def test_a_port_needs_a_host(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert cli.main(["doctor", "tls", "--port", "993"]) == 64
        assert "name the host (--host)" in capsys.readouterr().err
