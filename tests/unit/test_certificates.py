"""Certificates and keys made by openssl: good ones are accepted, each bad one is told with its cure."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrypoint.certificates import check_certificate, check_files, doubts, expiry
from entrypoint.errors import CheckError
from entrypoint.settings import concern
from entrypoint.settings.concerns import SYSTEM_CA, Common, Exim, Hosts, Ldap, Smarthost, Tls, Trust
from entrypoint.settings.reading import read
from tests.unit.authority import Authority

NAMES = "DNS:imap.example.org,DNS:smtp.example.org"


@concern
class Everything(Common, Hosts, Tls, Trust, Ldap, Exim, Smarthost):
    """All concerns that name files."""


@concern
class Trusting(Tls, Trust):
    """What shows a certificate, and checks others'."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates") / "authority")


@pytest.fixture(scope="module")
def below(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority between the root and the servers."""
    return authority.intermediate(tmp_path_factory.mktemp("chain") / "below")


@pytest.fixture
def pair(below: Authority) -> tuple[Path, Path]:
    return below.certificate(NAMES)


@pytest.fixture(scope="module")
def good(authority: Authority) -> Tls:
    return tls(*authority.certificate(NAMES))


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dkim") / "key.pem"
    openssl("genpkey", "-algorithm", "ed25519", "-out", str(path))
    return path


def tls(certificate: Path | str, key: Path | str) -> Tls:
    return Tls(tls_certificate=str(certificate), tls_key=str(key), tls_level="intermediate")


def refusal(settings: Tls, *hosts: str) -> str:
    with pytest.raises(CheckError) as refused:
        check_certificate(settings, hosts or ("imap.example.org",))
    return str(refused.value)


class TestCertificate:
    def test_good_for_one_and_for_several_names(self, good: Tls) -> None:
        check_certificate(good, ("imap.example.org",))
        check_certificate(good, ("imap.example.org", "smtp.example.org"))

    def test_a_wildcard_covers_the_names_one_label_deep(self, authority: Authority) -> None:
        wild = tls(*authority.certificate("DNS:*.example.org"))
        check_certificate(wild, ("imap.example.org", "smtp.example.org"))
        assert "it is not for a.b.example.org, but for *.example.org" in refusal(wild, "a.b.example.org")
        assert "it is not for example.org, but for" in refusal(wild, "example.org")

    def test_with_its_chain(self, authority: Authority, tmp_path: Path) -> None:
        certificate, key = authority.certificate(NAMES)
        chain = tmp_path / "fullchain.pem"
        chain.write_bytes(certificate.read_bytes() + authority.ca_file.read_bytes())
        check_certificate(tls(chain, key), ("imap.example.org",))

    def test_with_text_around(self, authority: Authority, tmp_path: Path) -> None:
        certificate, key = authority.certificate(NAMES)
        commented = tmp_path / "commented.pem"
        commented.write_bytes("Für die Schule\n".encode("latin-1") + certificate.read_bytes())
        check_certificate(tls(commented, key), ("imap.example.org",))

    def test_of_another_name(self, good: Tls) -> None:
        assert refusal(good, "imap.example.org", "mail.example.org", "mx.example.org") == (
            f"cannot use TLS_CERTIFICATE={good.tls_certificate}: it is not for mail.example.org and mx.example.org, "
            "but for imap.example.org, smtp.example.org; get one that has all names"
        )

    def test_expired(self, authority: Authority) -> None:
        old = tls(*authority.certificate(NAMES, ends="20200101000000Z"))
        assert refusal(old) == (
            f"cannot use TLS_CERTIFICATE={old.tls_certificate}: it expired on Jan  1 00:00:00 2020 GMT; "
            "renew it and start again"
        )

    def test_not_valid_yet(self, authority: Authority) -> None:
        early = tls(*authority.certificate(NAMES, begins="20900101000000Z"))
        assert "it is not valid before Jan  1 00:00:00 2090 GMT; is the clock" in refusal(early)

    def test_key_of_another_certificate(self, authority: Authority, good: Tls) -> None:
        mixed = replace(good, tls_key=str(authority.certificate(NAMES)[1]))
        assert refusal(mixed) == (
            f"cannot use TLS_CERTIFICATE={good.tls_certificate}: with TLS_KEY={mixed.tls_key}, "
            "the key is that of another certificate"
        )


class TestChain:
    @staticmethod
    def chained(key: Path, *certificates: Path) -> Tls:
        """The certificates in one file, in this order."""
        file = key.with_suffix(".chain")
        file.write_text("".join(path.read_text() for path in certificates))
        return tls(file, key)

    def test_complete(self, authority: Authority, below: Authority, pair: tuple[Path, Path]) -> None:
        certificate, key = pair
        check_certificate(self.chained(key, certificate, below.ca_file), ("imap.example.org",))
        check_certificate(self.chained(key, certificate, below.ca_file, authority.ca_file), ("imap.example.org",))

    def test_in_a_wrong_order(self, authority: Authority, below: Authority, pair: tuple[Path, Path]) -> None:
        certificate, key = pair
        wrong = self.chained(key, certificate, authority.ca_file, below.ca_file)
        assert refusal(wrong) == (
            f"cannot use TLS_CERTIFICATE={wrong.tls_certificate}: in it, CN=postern-test is followed by CN=authority, "
            "which has not issued it; first comes the server's own certificate, then the issuer of each"
        )

    def test_with_a_foreign_authority(self, below: Authority, pair: tuple[Path, Path], tmp_path: Path) -> None:
        certificate, key = pair
        foreign = Authority(tmp_path / "below")  # of the same name
        assert "which has not issued it" in refusal(self.chained(key, certificate, foreign.ca_file))

    def test_the_issuer_first(self, below: Authority, pair: tuple[Path, Path]) -> None:
        certificate, key = pair
        assert "the key is that of another certificate" in refusal(self.chained(key, below.ca_file, certificate))


class TestDoubts:
    @staticmethod
    def trusting(settings: Tls, ca_file: Path | str) -> Trusting:
        return Trusting(**vars(settings), tls_ca=str(ca_file))

    def test_none_for_a_chain_that_ends_at_a_known_authority(self, authority: Authority, tmp_path: Path) -> None:
        below = authority.intermediate(tmp_path / "below")
        certificate, key = below.certificate(NAMES)
        chain = TestChain.chained(key, certificate, below.ca_file)
        assert list(doubts(self.trusting(chain, authority.ca_file))) == []
        assert list(doubts(self.trusting(tls(certificate, key), below.ca_file))) != []  # no root, and nothing above it

    def test_an_authority_that_nobody_knows_here(self, authority: Authority, tmp_path: Path) -> None:
        certificate, key = authority.intermediate(tmp_path / "below").certificate(NAMES)
        (doubt,) = doubts(self.trusting(tls(certificate, key), authority.ca_file))
        assert doubt == (
            f"TLS_CERTIFICATE={certificate} is of no authority that the system or TLS_CA knows (unable to get local "
            "issuer certificate): unless it is of an own one, the chain is not complete"
        )
        assert list(doubts(self.trusting(tls(certificate, key), SYSTEM_CA)))

    def test_who_trusts_nobody_does_not_say_whom(self, good: Tls) -> None:
        assert list(doubts(good)) == []

    @pytest.mark.parametrize(("days", "told"), [(9, True), (14, True), (16, False)])
    def test_an_end_that_is_near(self, authority: Authority, days: int, *, told: bool) -> None:
        end = datetime.now(UTC) + timedelta(days=days, minutes=-1)
        near = tls(*authority.certificate(NAMES, ends=end.strftime("%Y%m%d%H%M%SZ")))
        check_certificate(near, ("imap.example.org",))
        assert expiry(near) == pytest.approx(end.timestamp(), abs=1)
        said = f"TLS_CERTIFICATE={near.tls_certificate} expires in {days - 1} days: renew it"
        assert list(doubts(near)) == ([said] if told else [])


class TestFiles:
    @pytest.mark.parametrize(
        "part",
        [("TLS_CERTIFICATE", "tls_certificate", "TLS_FULLCHAIN_FILE"), ("TLS_KEY", "tls_key", "TLS_PRIVKEY_FILE")],
    )
    class TestOfEither:
        def test_missing(self, good: Tls, part: tuple[str, str, str]) -> None:
            variable, field, on_the_host = part
            assert refusal(replace(good, **{field: "/nowhere/x"})) == (
                f"cannot read {variable}=/nowhere/x: No such file or directory; mount it there, readable for group 0 "
                f"(in .env: {on_the_host}), or name another file"
            )

        def test_unreadable(self, good: Tls, part: tuple[str, str, str], tmp_path: Path) -> None:
            variable, field, _ = part  # root reads every file, but no folder
            shown = refusal(replace(good, **{field: str(tmp_path)}))
            assert f"cannot read {variable}={tmp_path}: Is a directory; " in shown

        @pytest.mark.parametrize("content", [b"", b"\n"])
        def test_empty(self, good: Tls, part: tuple[str, str, str], content: bytes, tmp_path: Path) -> None:
            variable, field, on_the_host = part
            (tmp_path / "x").write_bytes(content)
            assert refusal(replace(good, **{field: str(tmp_path / "x")})) == (
                f"cannot use {variable}={tmp_path}/x: it is empty; set {on_the_host} in .env to the file on the host"
            )

        @pytest.mark.parametrize("content", [b"\x30\x82\x01\x0a", b"-----BEGIN CERTIFICATE REQUEST-----\n"])
        def test_not_pem(self, good: Tls, part: tuple[str, str, str], content: bytes, tmp_path: Path) -> None:
            variable, field, _ = part
            (tmp_path / "x").write_bytes(content)
            shown = refusal(replace(good, **{field: str(tmp_path / "x")}))
            assert shown.startswith(f"cannot use {variable}={tmp_path}/x: it has no ")
            assert shown.endswith(" in PEM")

    def test_exchanged(self, good: Tls) -> None:
        assert "TLS_CERTIFICATE=" in refusal(tls(good.tls_key, good.tls_certificate))

    def test_half_written_certificate(self, good: Tls, tmp_path: Path) -> None:
        whole = Path(good.tls_certificate).read_text()
        (tmp_path / "x").write_text(whole[: len(whole) // 2])
        assert "openssl refuses them: " in refusal(replace(good, tls_certificate=str(tmp_path / "x")))

    def test_half_written_key(self, good: Tls, tmp_path: Path) -> None:
        whole = Path(good.tls_key).read_text()
        (tmp_path / "x").write_text(whole[: len(whole) // 2])
        assert "TLS_KEY=" in refusal(replace(good, tls_key=str(tmp_path / "x")))
        assert "is it complete" in refusal(replace(good, tls_key=str(tmp_path / "x")))

    def test_key_with_a_passphrase(self, good: Tls, tmp_path: Path) -> None:
        locked = tmp_path / "locked.pem"
        openssl("pkey", "-in", good.tls_key, "-aes128", "-passout", "pass:x", "-out", str(locked))
        assert "without a passphrase?" in refusal(replace(good, tls_key=str(locked)))

    @pytest.mark.skipif(os.getuid() == 0, reason="root reads everything")
    def test_forbidden(self, good: Tls, tmp_path: Path) -> None:
        (tmp_path / "x").touch(mode=0)
        assert "Permission denied; mount it there, readable for group 0" in refusal(
            replace(good, tls_key=str(tmp_path / "x"))
        )


class TestAuthoritiesAndDkimKeys:
    def settings(self, **env: str) -> Everything:
        given = {
            "DOMAIN": "example.org",
            "EXIM_LOCAL_DOMAINS": "example.org:example.net",
            "LDAP_HOSTS": "ldap",
            "LDAP_USER": "cn=x",
            "LDAP_PASSWORD": "x",
            "LDAP_BASE": "dc=x",
            "EXIM_DKIM_SELECTOR": "s",
        }
        return read(given | env, Everything).settings

    def refusal(self, **env: str) -> str:
        with pytest.raises(CheckError) as refused:
            check_files(self.settings(**env))
        return str(refused.value)

    def test_good(self, authority: Authority, key: Path) -> None:
        check_files(self.settings(TLS_CA=str(authority.ca_file), LDAP_CA=str(authority.ca_file), DKIM_KEYS=str(key)))

    def test_debians_authorities_are_believed(self, key: Path) -> None:
        check_files(self.settings(TLS_CA=SYSTEM_CA, DKIM_KEYS=str(key)))

    @pytest.mark.parametrize("variable", ["TLS_CA", "LDAP_CA"])
    def test_authorities(self, variable: str, key: Path, tmp_path: Path) -> None:
        given = {"DKIM_KEYS": str(key)}
        assert f"cannot read {variable}=/nowhere: " in self.refusal(**given, **{variable: "/nowhere"})
        (tmp_path / "x").write_text("-----BEGIN")
        assert f"cannot use {variable}={tmp_path}/x: it has no certificate in PEM" in self.refusal(
            **given, **{variable: str(tmp_path / "x")}
        )

    def test_a_dkim_key_that_is_missing_or_none(self, tmp_path: Path) -> None:
        assert "cannot read DKIM_KEYS=/nowhere: " in self.refusal(DKIM_KEYS="/nowhere")
        (tmp_path / "x").write_text("-----BEGIN PUBLIC KEY-----")
        assert "it has no private key in PEM" in self.refusal(DKIM_KEYS=str(tmp_path / "x"))

    def test_without_a_selector_no_key_is_needed(self) -> None:
        check_files(self.settings(DKIM_KEYS="/nowhere", EXIM_DKIM_SELECTOR=""))

    def test_a_folder_has_a_key_for_a_domain(self, key: Path, tmp_path: Path) -> None:
        assert f"cannot use DKIM_KEYS={tmp_path}: there is no example.org.pem or example.net.pem in it" in self.refusal(
            DKIM_KEYS=str(tmp_path)
        )
        (tmp_path / "example.net.pem").write_bytes(key.read_bytes())
        check_files(self.settings(DKIM_KEYS=str(tmp_path)))
        (tmp_path / "example.org.pem").touch()
        assert f"DKIM_KEYS={tmp_path}/example.org.pem: it is empty" in self.refusal(DKIM_KEYS=str(tmp_path))


def openssl(*arguments: str) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
