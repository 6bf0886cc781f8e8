"""doctor dns prints what can be published as it is, and finds each record that is not as it should be."""

from __future__ import annotations

import copy
import json
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoint import cli, keys
from entrypoint.doctor import resolver
from tests.unit.nameserver import Records, name_server, records_of

ENV = """DOMAIN=example.org
EXIM_LOCAL_DOMAINS=example.org:example.net
EXIM_DKIM_SELECTOR=s1
DKIM_PRIVKEY_FILE=./dkim.key
TLS_FULLCHAIN_FILE=./server.pem
"""
ADDRESSES = ("--address", "192.0.2.7", "--address", "2001:db8::7")
KEY = "s1._domainkey.example.org"
HOSTS = ("mail", "imap", "smtp", "mailout")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a key for signatures, a certificate and an .env."""
    folder = tmp_path_factory.mktemp("made")
    keys.make_authority(folder, "doctor's")
    keys.make_certificate(folder, ["DNS:mail.example.org"])
    keys.make_dkim_key(folder)
    (folder / ".env").write_text(ENV)
    return folder


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def doctor(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    """Runs `doctor dns`: its exit code, and what it prints."""

    def run(*arguments: str) -> tuple[int, str]:
        code = cli.main(["doctor", "dns", "--env-file", str(here / ".env"), *ADDRESSES, *arguments])
        return code, capsys.readouterr().out

    return run


@pytest.fixture(scope="module")
def printed(made: Path) -> Records:
    command = [sys.executable, "-m", "entrypoint", "doctor", "dns", "--env-file", ".env", *ADDRESSES, "--no-check"]
    return records_of(subprocess.run(command, cwd=made, capture_output=True, text=True, check=True).stdout)


@pytest.fixture
def records(printed: Records) -> Records:
    """What the fragment says, as somebody publishes it who does what they are told; a test may change it."""
    return copy.deepcopy(printed)


@pytest.fixture
def served(records: Records) -> Iterator[str]:
    with name_server(records) as place:
        yield place


Diagnosis = dict[tuple[str, str], dict[str, Any]]


@pytest.fixture
def diagnosis(doctor: Callable[..., tuple[int, str]], served: str) -> Callable[[], tuple[int, Diagnosis]]:
    """Compares with the name server: the exit code, and each finding by name and type."""

    def ask() -> tuple[int, Diagnosis]:
        code, shown = doctor("--json", "--resolver", served)
        return code, {(each["name"], each["type"]): each for each in json.loads(shown)["records"]}

    return ask


class TestFragment:
    def test_has_each_record_of_each_domain(self, records: Records) -> None:
        for domain in ("example.org", "example.net"):
            assert records[domain, "MX"] == ["10 mail.example.org."]
            assert records[domain, "TXT"] == ['"v=spf1 ip4:192.0.2.7 ip6:2001:db8::7 -all"']
            assert {f"{name}.{domain}" for name in ("_dmarc", "_mta-sts", "_smtp._tls", "s1._domainkey")} <= {
                name for name, kind in records if kind == "TXT"
            }
            assert records[f"_imaps._tcp.{domain}", "SRV"] == ["0 1 993 imap.example.org."]
            assert records[f"_submissions._tcp.{domain}", "SRV"] == ["0 1 465 mail.example.org."]
            assert records[f"_submission._tcp.{domain}", "SRV"] == ["10 1 587 mail.example.org."]
            assert records[f"_sieve._tcp.{domain}", "SRV"] == ["0 1 4190 imap.example.org."]
        for host in HOSTS:
            assert records[f"{host}.example.org", "A"] == ["192.0.2.7"]
            assert records[f"{host}.example.org", "AAAA"] == ["2001:db8::7"]
        assert records["7.2.0.192.in-addr.arpa", "PTR"] == ["mailout.example.org."]

    def test_has_the_public_halves_of_the_keys(self, here: Path, records: Records) -> None:
        assert "".join(records[KEY, "TXT"][0].split('" "')).strip('"') == keys.dkim_record(here / "dkim.key")
        hashed = subprocess.run(
            "openssl x509 -in server.pem -noout -pubkey | openssl pkey -pubin -outform DER | sha256sum",
            shell=True, cwd=here, capture_output=True, text=True, check=True,
        ).stdout.split()[0]  # fmt: skip
        (tlsa,) = records["_25._tcp.mail.example.org", "TLSA"]
        assert tlsa.replace(" ", "") == f"311{hashed}"

    def test_lets_reports_about_a_domain_go_to_another_one(self, records: Records) -> None:
        assert records["example.net._report._dmarc.example.org", "TXT"] == ['"v=DMARC1"']
        assert ("example.org._report._dmarc.example.org", "TXT") not in records

    @pytest.mark.skipif(not shutil.which("named-checkzone"), reason="bind9-utils is not installed")
    def test_is_a_zone_for_bind(self, doctor: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
        soa = "@ SOA ns.invalid. a.invalid. 1 3600 600 86400 60\n@ NS ns.invalid.\n"
        for section in doctor("--no-check")[1].split("\n$ORIGIN ")[1:]:
            origin, _, text = section.partition("\n")
            (tmp_path / "zone").write_text(f"$TTL 3600\n{soa}{text}")
            done = subprocess.run(
                ["named-checkzone", "-k", "fail", "-n", "ignore", origin, tmp_path / "zone"],
                capture_output=True, text=True, check=False,
            )  # fmt: skip
            assert done.returncode == 0, done.stdout
            assert "ignoring out-of-zone" not in done.stdout

    def test_tells_the_policy_of_mta_sts_and_changes_its_id_with_it(
        self, doctor: Callable[..., tuple[int, str]], records: Records
    ) -> None:
        _, shown = doctor("--no-check", "--mta-sts", "enforce")
        assert ";   mode: enforce\n;   mx: mail.example.org\n" in shown
        assert "https://mta-sts.example.org/.well-known/mta-sts.txt" in shown
        name = ("_mta-sts.example.org", "TXT")
        assert records_of(shown)[name] != records[name]
        assert records_of(doctor("--no-check")[1])[name] == records[name]

    def test_leaves_out_what_it_is_told_to(self, doctor: Callable[..., tuple[int, str]]) -> None:
        _, shown = doctor("--no-check", "--skip", "mta-sts", "--skip", "srv")
        assert "STSv1" not in shown
        assert "SRV" not in shown
        assert "TLSRPTv1" in shown

    def test_has_no_service_that_only_this_machine_can_reach(
        self, here: Path, doctor: Callable[..., tuple[int, str]]
    ) -> None:
        (here / ".env").write_text(ENV + "IMAPS_PORT=127.0.0.1:993\nSUBMISSIONS_PORT=192.0.2.7:4465\n")
        try:
            found = records_of(doctor("--no-check")[1])
        finally:
            (here / ".env").write_text(ENV)
        assert ("_imaps._tcp.example.org", "SRV") not in found
        assert found["_submissions._tcp.example.org", "SRV"] == ["0 1 4465 mail.example.org."]

    def test_says_what_cannot_be_known(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        Path("env").write_text("DOMAIN=example.org\nEXIM_DKIM_SELECTOR=s1\nDKIM_PRIVKEY_FILE=./gone.pem\n")
        assert cli.main(["doctor", "dns", "--env-file", "env", "--no-check"]) == 0
        shown = capsys.readouterr().out
        assert "; 192.0.2.1 stands for the public address of this machine: give it with --address" in shown
        assert "; no DKIM record of example.org: DKIM_PRIVKEY_FILE=gone.pem is not there" in shown
        assert "; no TLSA record: TLS_FULLCHAIN_FILE is not set" in shown
        assert records_of(shown)["mail.example.org", "A"] == ["192.0.2.1"]

    def test_takes_the_key_of_each_domain_from_a_folder(
        self, here: Path, tmp_path: Path, doctor: Callable[..., tuple[int, str]]
    ) -> None:
        shutil.copy(here / "dkim.key", tmp_path / "example.net.pem")
        (here / ".env").write_text(ENV.replace("./dkim.key", str(tmp_path)))
        try:
            _, shown = doctor("--no-check")
        finally:
            (here / ".env").write_text(ENV)
        found = records_of(shown)
        assert ("s1._domainkey.example.net", "TXT") in found
        assert (KEY, "TXT") not in found
        assert f"there is no {tmp_path}/example.org.pem, so its mail is not signed" in shown


class TestComparison:
    def test_what_is_published_as_it_was_printed_is_all_ok(
        self, diagnosis: Callable[[], tuple[int, Diagnosis]]
    ) -> None:
        code, found = diagnosis()
        assert {each["state"] for each in found.values()} == {"ok"}
        assert code == 0

    @pytest.mark.parametrize(
        "name",
        [
            ("mail.example.org", "A"), ("mail.example.org", "AAAA"), ("example.org", "MX"), ("example.net", "MX"),
            ("example.org", "TXT"), (KEY, "TXT"), ("_dmarc.example.org", "TXT"), ("_mta-sts.example.org", "TXT"),
            ("_smtp._tls.example.org", "TXT"), ("_imaps._tcp.example.org", "SRV"),
            ("_submissions._tcp.example.net", "SRV"), ("_submission._tcp.example.org", "SRV"),
            ("_sieve._tcp.example.org", "SRV"), ("7.2.0.192.in-addr.arpa", "PTR"),
            ("example.net._report._dmarc.example.org", "TXT"),
        ],
    )  # fmt: skip
    def test_what_is_not_there_is_missing(
        self, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]], name: tuple[str, str]
    ) -> None:
        del records[name]
        code, found = diagnosis()
        assert code == 1
        assert [key for key, each in found.items() if each["state"] == "missing"] == [name]

    def test_without_tlsa_all_is_well(self, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]]) -> None:
        del records["_25._tcp.mail.example.org", "TLSA"]
        code, found = diagnosis()
        assert (code, found["_25._tcp.mail.example.org", "TLSA"]["state"]) == (0, "optional")

    @pytest.mark.parametrize(
        ("name", "data", "told"),
        [
            (("imap.example.org", "A"), ["192.0.2.8"], "another address"),
            (("imap.example.org", "AAAA"), ["2001:db8::7", "2001:db8::8"], "2001:db8::8 as well"),
            (("example.org", "MX"), ["10 other.example.com."], "mail goes elsewhere"),
            (("example.org", "MX"), ["0 ."], "mail goes elsewhere"),
            (("example.org", "TXT"), ['"v=spf1 ip4:192.0.2.7 -all"'], "does not allow 2001:db8::7 (fail)"),
            (("example.org", "TXT"), ['"v=spf1 ~all"'], "192.0.2.7 (softfail) and 2001:db8::7 (softfail)"),
            (("example.org", "TXT"), ['"v=spf1 mx -all"', '"v=spf1 -all"'], "2 SPF records"),
            (("example.org", "TXT"), ['"v=spf1 +all"'], "everybody may send"),
            (("example.org", "TXT"), ['"v=spf1 ipv4:192.0.2.7 -all"'], "'ipv4:192.0.2.7' is no mechanism"),
            (("example.org", "TXT"), ['"v=spf1 include:none.example -all"'], "none.example, which it names, has no"),
            (("example.org", "TXT"), ['"v=spf1 include:example.org -all"'], "more than 50 look-ups"),
            ((KEY, "TXT"), ['"v=DKIM1; k=rsa; p=AAAA"'], "another key"),
            ((KEY, "TXT"), ['"v=DKIM1; p="'], "revoked"),
            ((KEY, "TXT"), ['"v=DKIM1; p=AAAA"', '"v=DKIM1; p=BBBB"'], "2 records"),
            (("_dmarc.example.org", "TXT"), ['"v=DMARC1; p=all"'], "none, quarantine or reject"),
            (("_dmarc.example.org", "TXT"), ['"v=DMARC1; p=none"', '"v=DMARC1; p=reject"'], "take none of them"),
            (("_mta-sts.example.org", "TXT"), ['"v=STSv1"'], "it has no id="),
            (("_smtp._tls.example.org", "TXT"), ['"v=TLSRPTv1; rua="'], "it has no rua="),
            (("_imaps._tcp.example.org", "SRV"), ["0 1 993 old.example.org."], "sent elsewhere"),
            (("_sieve._tcp.example.org", "SRV"), ["0 0 0 ."], "sent elsewhere"),
            (("_submissions._tcp.example.org", "SRV"), ["0 1 466 mail.example.org."], "sent elsewhere"),
            (("7.2.0.192.in-addr.arpa", "PTR"), ["static-7.provider.example."], "EXIM_EXT_MAILOUT_HOST"),
            (("_25._tcp.mail.example.org", "TLSA"), [f"3 1 1 {'00' * 32}"], "none fits the certificate"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_differs_and_says_why(
        self,
        records: Records,
        diagnosis: Callable[[], tuple[int, Diagnosis]],
        name: tuple[str, str],
        data: list[str],
        told: str,
    ) -> None:
        records[name] = data
        code, found = diagnosis()
        assert code == 1
        assert [key for key, each in found.items() if each["state"] == "differs"] == [name]
        assert told in found[name]["why"]
        assert found[name]["found"]

    @pytest.mark.parametrize(
        ("name", "data"),
        [
            (("example.org", "MX"), ["20 backup.example.com.", "5 MAIL.example.org."]),
            (("example.org", "TXT"), ['"v=spf1 mx -all"', '"site-verification=1"']),
            (("example.org", "TXT"), ['"v=spf1 ip4:192.0.2.0/24 " "ip6:2001:db8::/32 ~all"']),
            (("example.org", "TXT"), ['"v=spf1 a:mailout.example.org/30//64 -all"']),
            (("example.org", "TXT"), ['"v=spf1 include:example.net ?all"']),
            (("example.org", "TXT"), ['"V=SPF1 exp=why.example.org redirect=example.net"']),
            (("_dmarc.example.org", "TXT"), ['"v=DMARC1; p=reject; sp=none; adkim=s"']),
            (("_mta-sts.example.org", "TXT"), ['"v=STSv1; id=20260101T000000;"']),
            (("_smtp._tls.example.org", "TXT"), ['"v=TLSRPTv1;rua=https://reports.example.com/tls"']),
            (("_imaps._tcp.example.org", "SRV"), ["5 7 993 imap.example.org.", "10 1 993 imap2.example.org."]),
            (("7.2.0.192.in-addr.arpa", "PTR"), ["other.example.org.", "mailout.example.org."]),
        ],
    )
    def test_what_does_the_same_is_ok(
        self,
        records: Records,
        diagnosis: Callable[[], tuple[int, Diagnosis]],
        name: tuple[str, str],
        data: list[str],
    ) -> None:
        records[name] = data
        code, found = diagnosis()
        assert (code, found[name]["state"], found[name]["why"]) == (0, "ok", "")

    def test_the_key_counts_not_the_way_it_is_written(
        self, here: Path, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]]
    ) -> None:
        key = keys.dkim_record(here / "dkim.key").partition("p=")[2]
        records[KEY, "TXT"] = [f'"p={key[:90]} " "{key[90:300]}" "{key[300:]} ; n=ours"']
        assert diagnosis()[1][KEY, "TXT"]["state"] == "ok"

    def test_any_tlsa_record_that_fits_the_certificate_is_ok(
        self, here: Path, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]]
    ) -> None:
        der = ["openssl", "x509", "-in", str(here / "server.pem"), "-outform", "DER"]
        digest = subprocess.run(["openssl", "sha512", "-r"], input=subprocess.check_output(der), capture_output=True,
                                check=True).stdout.split()[0].decode()  # fmt: skip
        records["_25._tcp.mail.example.org", "TLSA"] = [f"3 1 1 {'00' * 32}", f"3 0 2 {digest}"]
        assert diagnosis()[1]["_25._tcp.mail.example.org", "TLSA"]["state"] == "ok"

    @pytest.mark.parametrize(("number", "state"), [(10, "ok"), (11, "warning")])
    def test_more_than_ten_look_ups_of_spf_are_a_warning(
        self, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]], number: int, state: str
    ) -> None:
        names = " ".join(f"a:h{each}.example.org" for each in range(number))
        records["example.org", "TXT"] = [f'"v=spf1 ip4:192.0.2.7 ip6:2001:db8::7" " {names} -all"']
        code, found = diagnosis()
        assert (code, found["example.org", "TXT"]["state"]) == (0, state)

    def test_a_signature_key_for_testing_is_a_warning(
        self, here: Path, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]]
    ) -> None:
        record = keys.dkim_record(here / "dkim.key").replace("; p=", "; t=y; p=")
        records[KEY, "TXT"] = [f'"{record[:200]}" "{record[200:]}"']
        code, found = diagnosis()
        assert (code, found[KEY, "TXT"]["state"]) == (0, "warning")

    def test_a_mail_server_may_not_be_an_alias_but_others_may(
        self, records: Records, diagnosis: Callable[[], tuple[int, Diagnosis]]
    ) -> None:
        for name in ("imap.example.org", "mail.example.org"):
            for kind in ("A", "AAAA"):
                del records[name, kind]
            records[name, "CNAME"] = ["mailout.example.org."]
        code, found = diagnosis()
        assert code == 1
        assert found["imap.example.org", "A"]["state"] == "ok"
        assert "an alias of mailout.example.org, to which no MX may lead" in found["mail.example.org", "A"]["why"]

    def test_a_policy_of_the_domain_above_counts(
        self, here: Path, records: Records, served: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        env = here / "sub.env"
        env.write_text("DOMAIN=sub.example.org\nPOSTMASTER_ADDRESS=postmaster@example.org\n")
        command = ["doctor", "dns", "--env-file", str(env), "--address", "192.0.2.7", "--resolver", served, "--json"]
        for there, state in ((True, "ok"), (False, "missing")):
            if not there:
                del records["_dmarc.example.org", "TXT"]
            cli.main(command)
            found = {each["name"]: each for each in json.loads(capsys.readouterr().out)["records"]}
            assert found["_dmarc.sub.example.org"]["state"] == state

    def test_behind_a_relay_the_relays_addresses_count(
        self, here: Path, records: Records, served: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        records["example.org", "TXT"] = ['"v=spf1 include:example.net -all"']
        records["example.net", "TXT"] = ['"v=spf1 ip4:198.51.100.0/24 -all"']
        for relay, state in (("", "differs"), ("DEFAULT_RELAY_HOST=relay.example.com:587\n", "ok")):
            (here / "relay.env").write_text(ENV + relay)
            cli.main(
                ["doctor", "dns", "--env-file", str(here / "relay.env"), *ADDRESSES, "--resolver", served, "--json"]
            )
            found = {(each["name"], each["type"]): each for each in json.loads(capsys.readouterr().out)["records"]}
            assert found["example.org", "TXT"]["state"] == state


class TestCommand:
    def test_shows_a_table_of_what_is_there(self, doctor: Callable[..., tuple[int, str]], records: Records) -> None:
        del records["_dmarc.example.org", "TXT"]
        records["example.org", "MX"] = ["10 other.example.com."]
        with name_server(records) as place:
            code, shown = doctor("--resolver", place)
        assert code == 1
        table = shown.partition(f"As {place} sees it:\n\n")[2].splitlines()
        assert table[0].split() == ["STATE", "TYPE", "NAME", "THERE", "WHY"]
        rows = [" ".join(line.split()) for line in table]
        assert "missing TXT _dmarc.example.org" in rows
        assert "differs MX example.org 10 other.example.com. mail goes elsewhere" in rows
        assert "ok MX example.net 10 mail.example.org." in rows
        assert "1 missing, 1 differs: the records above say what should be there" in rows[-1]
        assert "\x1b" not in shown

    def test_without_an_address_takes_the_one_in_dns(
        self, here: Path, served: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert cli.main(["doctor", "dns", "--env-file", str(here / ".env"), "--resolver", served]) == 0
        shown = capsys.readouterr().out
        assert "for 192.0.2.7 and 2001:db8::7, the address of mailout.example.org in DNS" in shown

    def test_a_name_that_cannot_be_resolved_says_the_resolvers_word(
        self, doctor: Callable[..., tuple[int, str]], records: Records
    ) -> None:
        with name_server(records, broken=["_dmarc.example.org"]) as place:
            code, shown = doctor("--resolver", place, "--json")
        found = {each["name"]: each for each in json.loads(shown)["records"] if each["type"] == "TXT"}
        assert (code, found["_dmarc.example.org"]["state"]) == (1, "differs")
        assert found["_dmarc.example.org"]["why"] == "the resolver says SERVFAIL"

    def test_a_resolver_that_is_not_there_ends_with_69(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(resolver, "TIMEOUT_S", 0.5)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            place = f"127.0.0.1:{nobody.getsockname()[1]}"
        command = ["doctor", "dns", "--env-file", str(here / ".env"), "--resolver", place]
        assert cli.main(command) == 69
        said = capsys.readouterr().err
        assert said.startswith(f"entrypoint: cannot ask the resolver {place}: ")
        assert "--no-check" in said

    @pytest.mark.parametrize("place", ["dns.example.org", "127.0.0.1:0", "127.0.0.1:x"])
    def test_a_resolver_is_an_address(self, here: Path, capsys: pytest.CaptureFixture[str], place: str) -> None:
        assert cli.main(["doctor", "dns", "--env-file", str(here / ".env"), "--resolver", place]) == 64
        assert f"cannot use --resolver {place}: it is" in capsys.readouterr().err

    def test_bad_settings_end_with_78(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "env").write_text("DOMAIN=a b\n")
        assert cli.main(["doctor", "dns", "--env-file", str(tmp_path / "env"), "--no-check"]) == 78
        assert "DOMAIN got 'a b'" in capsys.readouterr().err

    def test_only_printing_needs_no_dnspython(self, here: Path) -> None:
        code = "import sys; sys.modules['dns'] = None; from entrypoint.cli import main; sys.exit(main())"
        command = [sys.executable, "-c", code, "doctor", "dns", "--env-file", ".env"]
        assert subprocess.run([*command, "--no-check"], cwd=here, capture_output=True, check=False).returncode == 0
        done = subprocess.run(command, cwd=here, capture_output=True, text=True, check=False)
        assert done.returncode == 78
        assert "dnspython is not installed here; install it (pip install dnspython)" in done.stderr
