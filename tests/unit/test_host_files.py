"""Certificates, keys, secrets and folders of the host: nothing is said of good ones, each bad one has its cure."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from entrypoint.environment import Case, Finding, examine, in_use, parse
from entrypoint.environment.findings import ERROR, WARNING
from entrypoint.environment.folders import READ, VOLUMES, WRITTEN
from entrypoint.service import find, names
from tests.unit.authority import Authority
from tests.unit.installation import NAMES, ROOT, Installation

in_group_0 = pytest.mark.skipif(os.getgid() != 0, reason="needs group 0")
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs to be another user")


def only(found: list[Finding]) -> Finding:
    (one,) = found
    return one


class TestCertificate:
    def told(self, host: Installation, certificate: Path, key: Path, severity: str = ERROR) -> str:
        """What is said about this pair."""
        key.chmod(0o644)
        found = only(host.look({"TLS_FULLCHAIN_FILE": str(certificate), "TLS_PRIVKEY_FILE": str(key)}))
        assert found.severity == severity
        assert set(found.services) == {"imap", "exim-external", "exim-int-mailout", "exim-ext-mailout"}
        assert host.line_of("TLS_FULLCHAIN_FILE") in found.lines
        return found.text

    @pytest.mark.parametrize("name", ["TLS_FULLCHAIN_FILE", "TLS_PRIVKEY_FILE"])
    def test_one_that_is_not_given(self, name: str, with_certificate: Installation) -> None:
        found = only(with_certificate.look({name: None}))
        assert (found.severity, found.lines) == (ERROR, ())
        assert found.text.startswith(f"{name} is missing: ")

    @pytest.mark.parametrize("name", ["TLS_FULLCHAIN_FILE", "TLS_PRIVKEY_FILE"])
    def test_one_that_is_not_there(self, name: str, with_certificate: Installation) -> None:
        found = only(with_certificate.look({name: "./none.pem"}))
        assert found.text == f"{name}=./none.pem does not exist on this machine"

    def test_an_empty_one(self, with_certificate: Installation) -> None:
        with_certificate.secret("empty.pem", "")
        found = only(with_certificate.look({"TLS_FULLCHAIN_FILE": "./empty.pem"}))
        assert found.text == "TLS_FULLCHAIN_FILE=./empty.pem is empty"

    def test_a_file_that_is_none(self, with_certificate: Installation) -> None:
        file = with_certificate.secret("x.pem", "x")
        found = only(with_certificate.look({"TLS_FULLCHAIN_FILE": "./x.pem"}))
        assert found.text == f"cannot use TLS_FULLCHAIN_FILE={file}: it has no certificate in PEM"

    def test_a_key_of_another(self, with_certificate: Installation, installations_authority: Authority) -> None:
        (certificate, _), (_, key) = (installations_authority.certificate(NAMES) for _ in range(2))
        told = self.told(with_certificate, certificate, key)
        assert told == (
            f"cannot use TLS_FULLCHAIN_FILE={certificate}: with TLS_PRIVKEY_FILE={key}, "
            "the key is that of another certificate"
        )

    def test_names_that_do_not_cover_the_services(
        self, with_certificate: Installation, installations_authority: Authority
    ) -> None:
        pair = installations_authority.certificate("DNS:mail.example.org")
        told = self.told(with_certificate, *pair)
        assert "it is not for mailout.example.org and smarthost.example.org and smtp.example.org and imap" in told

    def test_names_of_services_that_are_not_started_are_not_wanted(
        self, with_certificate: Installation, installations_authority: Authority
    ) -> None:
        certificate, key = installations_authority.certificate("DNS:mailout.example.org,DNS:smarthost.example.org")
        key.chmod(0o644)
        pair = {"TLS_FULLCHAIN_FILE": str(certificate), "TLS_PRIVKEY_FILE": str(key)}
        assert with_certificate.look(pair | {"COMPOSE_PROFILES": "global"}) == []
        assert with_certificate.look(pair) != []

    def test_an_expired_one(self, with_certificate: Installation, installations_authority: Authority) -> None:
        pair = installations_authority.certificate(NAMES, ends="20200101000000Z")
        assert "it expired on Jan  1 00:00:00 2020 GMT" in self.told(with_certificate, *pair)

    def test_all_that_is_wrong_is_told_at_once(
        self, with_certificate: Installation, installations_authority: Authority
    ) -> None:
        certificate, _ = installations_authority.certificate("DNS:other.example.org", ends="20200101000000Z")
        _, key = installations_authority.certificate(NAMES)
        key.chmod(0o644)
        found = with_certificate.look({"TLS_FULLCHAIN_FILE": str(certificate), "TLS_PRIVKEY_FILE": str(key)})
        assert len(found) == 3
        assert all(
            any(word in each.text for each in found) for word in ("another certificate", "it expired", "it is not for")
        )

    @pytest.mark.parametrize(("days", "is_told"), [(10, True), (20, False)])
    def test_one_that_expires_soon(
        self, days: int, is_told: bool, with_certificate: Installation, installations_authority: Authority
    ) -> None:
        end = datetime.now(UTC) + timedelta(days=days, minutes=5)
        pair = installations_authority.certificate(NAMES, ends=end.strftime("%Y%m%d%H%M%SZ"))
        if is_told:
            told = self.told(with_certificate, *pair, severity=WARNING)
            assert told == f"TLS_FULLCHAIN_FILE={pair[0]} expires in {days} days: renew it"
        else:
            pair[1].chmod(0o644)
            assert with_certificate.look({"TLS_FULLCHAIN_FILE": str(pair[0]), "TLS_PRIVKEY_FILE": str(pair[1])}) == []

    def test_a_chain_in_a_wrong_order(
        self, with_certificate: Installation, installations_authority: Authority, tmp_path: Path
    ) -> None:
        below = installations_authority.intermediate(tmp_path / "below")
        certificate, key = below.certificate(NAMES)
        parts = (certificate, installations_authority.ca_file, below.ca_file)
        chain = with_certificate.secret("chain.pem", "".join(part.read_text() for part in parts))
        assert "which has not issued it" in self.told(with_certificate, chain, key)
        chain.write_text(certificate.read_text() + below.ca_file.read_text())
        assert with_certificate.look({"TLS_FULLCHAIN_FILE": str(chain), "TLS_PRIVKEY_FILE": str(key)}) == []

    def test_one_of_an_authority_that_nobody_knows(self, with_certificate: Installation, tmp_path: Path) -> None:
        pair = Authority(tmp_path / "stranger").certificate(NAMES)
        told = self.told(with_certificate, *pair, severity=WARNING)
        assert "is of no authority that the system or TLS_CA knows" in told

    def test_a_file_of_the_containers_own_is_not_looked_for(self, with_certificate: Installation) -> None:
        own = {"TLS_CERTIFICATE": "/etc/own/fullchain.pem", "TLS_KEY": "/etc/own/key.pem"}
        assert with_certificate.look(own | {"TLS_FULLCHAIN_FILE": None, "TLS_PRIVKEY_FILE": None}) == []

    def test_paths_begin_where_the_compose_file_is(self, with_certificate: Installation, tmp_path: Path) -> None:
        elsewhere = tmp_path / "settings"
        elsewhere.mkdir()
        shutil.copy(with_certificate.env["TLS_FULLCHAIN_FILE"], tmp_path / "here.pem")
        with_certificate.file = elsewhere / ".env"
        changes = {"TLS_FULLCHAIN_FILE": "./here.pem"}
        assert with_certificate.case(changes).folder != tmp_path
        shutil.copy(ROOT / "docker-compose.yaml", elsewhere)
        assert any("here.pem does not exist" in found.text for found in with_certificate.look(changes))
        with_certificate.file = tmp_path / ".env"
        assert with_certificate.look(changes) == []


class TestAuthorities:
    @pytest.mark.parametrize("name", ["TLS_CA", "LDAP_CA"])
    def test_those_of_the_secret_need_a_file(self, name: str, installation: Installation) -> None:
        found = only(installation.look({"TLS_CA": None, "TLS_CA_FILE": None, name: "/run/secrets/ca"}))
        assert found.severity == ERROR
        assert found.text == f"{name}=/run/secrets/ca needs TLS_CA_FILE, the file on the host with these authorities"
        assert found.lines == (installation.line_of(name),)
        assert ("exim-ext-mailout" in found.services) == (name == "TLS_CA")

    def test_a_file_that_nobody_uses(self, installation: Installation) -> None:
        found = only(installation.look({"TLS_CA": None}))
        assert found.severity == WARNING
        assert found.text.startswith("TLS_CA_FILE is used by nobody: set LDAP_CA or TLS_CA to /run/secrets/ca")
        assert installation.look({"TLS_CA": None, "LDAP_CA": "/run/secrets/ca"}) == []

    def test_a_file_without_any(self, installation: Installation) -> None:
        file = installation.secret("ca.pem", "x")
        found = only(installation.look({"TLS_CA_FILE": "./ca.pem"}))
        assert found.text == f"cannot use TLS_CA_FILE={file}: it has no certificate in PEM"

    def test_a_file_that_is_not_there(self, installation: Installation) -> None:
        assert only(installation.look({"TLS_CA_FILE": "./ca.pem"})).text.endswith("does not exist on this machine")


class TestDkim:
    @pytest.fixture
    def key(self, installation: Installation, installations_authority: Authority) -> str:
        """A key, of whatever kind."""
        return installations_authority.certificate(NAMES)[1].read_text()

    def test_a_selector_without_a_key(self, installation: Installation) -> None:
        found = only(installation.look({"EXIM_DKIM_SELECTOR": "x"}))
        assert (found.severity, found.lines) == (ERROR, (installation.line_of("EXIM_DKIM_SELECTOR"),))
        assert found.text == ("EXIM_DKIM_SELECTOR=x needs DKIM_PRIVKEY_FILE, the key on the host (or a folder of keys)")

    def test_a_key_without_a_selector(self, installation: Installation, key: str) -> None:
        installation.secret("dkim.pem", key)
        found = only(installation.look({"DKIM_PRIVKEY_FILE": "./dkim.pem"}))
        assert found.severity == WARNING
        assert found.text == "DKIM_PRIVKEY_FILE is used by nobody: mail is signed only with EXIM_DKIM_SELECTOR"

    def test_both(self, installation: Installation, key: str) -> None:
        installation.secret("dkim.pem", key)
        assert installation.look({"EXIM_DKIM_SELECTOR": "x", "DKIM_PRIVKEY_FILE": "./dkim.pem"}) == []
        assert installation.look({"EXIM_DKIM_SELECTOR": "x", "DKIM_KEYS": "/etc/own/dkim"}) == []

    def test_what_is_no_key(self, installation: Installation) -> None:
        file = installation.secret("dkim.pem", "x")
        found = only(installation.look({"EXIM_DKIM_SELECTOR": "x", "DKIM_PRIVKEY_FILE": "./dkim.pem"}))
        assert found.text == f"cannot use DKIM_PRIVKEY_FILE={file}: it has no private key in PEM"

    def test_a_folder_of_keys(self, installation: Installation, key: str) -> None:
        changes = {"EXIM_DKIM_SELECTOR": "x", "DKIM_PRIVKEY_FILE": "./dkim"}
        changes |= {"EXIM_LOCAL_DOMAINS": "example.org:example.net"}
        (installation.folder / "dkim").mkdir()
        found = only(installation.look(changes))
        assert found.severity == ERROR
        assert found.text.endswith(" has no example.org.pem and no example.net.pem: there is no key to sign with")
        installation.secret("dkim/example.org.pem", key)
        found = only(installation.look(changes))
        assert found.severity == WARNING
        assert found.text.endswith(" has no example.net.pem: their mail will not be signed")
        installation.secret("dkim/example.net.pem", key)
        assert installation.look(changes) == []


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user of the machine can look into, which those of pytest are not."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


@contextmanager
def as_nobody() -> Iterator[None]:
    """Go on as a user who owns nothing."""
    groups = os.getgroups()
    os.setgroups([])
    os.setresgid(65534, 65534, 0)
    os.setresuid(65534, 65534, 0)
    try:
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)


class TestSecrets:
    @pytest.fixture
    def exposed(self, open_folder: Path, installations_authority: Authority) -> Installation:
        """An installation where nobody has thought of other users."""
        made = Installation(open_folder, installations_authority)
        made.env |= {"TLS_CERTIFICATE": "/etc/own/fullchain.pem", "TLS_KEY": "/etc/own/key.pem"}
        made.file.touch(0o644)
        return made

    def test_each_that_others_can_read_is_told(self, exposed: Installation) -> None:
        found = exposed.look()
        secrets = {"LDAP_PASSWORD_FILE", "REDIS_PASSWORD_FILE", "RSPAM_password_FILE", "RSPAM_enable_password_FILE"}
        assert {name for each in found for name in each.variables} == secrets
        path = exposed.folder / "secrets/redis"
        (redis,) = (each for each in found if each.variables == ("REDIS_PASSWORD_FILE",))
        assert redis.severity == WARNING
        assert redis.text == (
            f"REDIS_PASSWORD_FILE={path} can be read by every user of this machine: chgrp 0 {path}; chmod 640 {path}"
        )
        assert redis.lines == (exposed.line_of("REDIS_PASSWORD_FILE"),)

    @in_group_0
    def test_those_of_group_0_alone_are_right(self, exposed: Installation) -> None:
        for path in (exposed.folder / "secrets").iterdir():
            path.chmod(0o640)
        assert exposed.look() == []

    def test_a_folder_that_is_closed_protects_them(self, exposed: Installation) -> None:
        (exposed.folder / "secrets").chmod(0o750)
        assert exposed.look() == []

    def test_one_that_no_container_can_read(self, installation: Installation) -> None:
        path = installation.folder / "secrets/redis"
        path.chmod(0o600)
        found = only(installation.look())
        assert found.severity == ERROR
        assert found.text.startswith(
            f"REDIS_PASSWORD_FILE={path} cannot be read by group 0, which the containers run in"
        )

    @as_root
    def test_one_of_another_group(self, installation: Installation) -> None:
        path = installation.folder / "secrets/redis"
        os.chown(path, 0, 12345)
        path.chmod(0o640)
        assert "cannot be read by group 0" in only(installation.look()).text

    def test_the_keys_of_certificate_and_dkim_are_secrets_too(
        self, with_certificate: Installation, installations_authority: Authority
    ) -> None:
        key = Path(with_certificate.env["TLS_PRIVKEY_FILE"])
        with_certificate.secret("dkim/example.org.pem", key.read_text(), mode=0o600)
        key.chmod(0o600)
        found = with_certificate.look({"EXIM_DKIM_SELECTOR": "x", "DKIM_PRIVKEY_FILE": "./dkim"})
        assert {each.variables[0] for each in found} == {"TLS_PRIVKEY_FILE", "DKIM_PRIVKEY_FILE"}
        assert all("cannot be read by group 0" in each.text for each in found)

    def test_a_path_of_the_containers_is_none_of_the_hosts(self, installation: Installation) -> None:
        found = only(installation.look({"REDIS_PASSWORD_FILE": "/run/secrets/x"}))
        assert "which is a path in containers: name the file on the host, as in ./secrets/NAME" in found.text

    @as_root
    @pytest.mark.parametrize("mode", [0o700, 0o755])
    def test_one_that_this_user_may_not_read_is_no_mistake(self, mode: int, exposed: Installation) -> None:
        for path in (exposed.folder / "secrets").iterdir():
            path.chmod(0o640)
        (exposed.folder / "secrets").chmod(mode)
        file = exposed.write({})
        exposed.look()  # imports what the other user could not
        with as_nobody():
            found = examine(Case.of_file(parse(file), in_use(map(find, names()), exposed.env)))
        assert {each.severity for each in found} == {WARNING}
        assert len(found) == 5  # four passwords and TLS_CA_FILE
        assert all("cannot be looked into by this user: run the check as root" in each.text for each in found)

    def test_the_file_with_secrets_itself(self, exposed: Installation) -> None:
        (exposed.folder / "secrets").chmod(0o750)
        found = only(exposed.look({"REDIS_PASSWORD_FILE": None, "REDIS_PASSWORD": "s3cr3t"}))
        assert (found.severity, found.lines) == (WARNING, (exposed.line_of("REDIS_PASSWORD"),))
        assert found.text == (
            f"{exposed.file} has secrets in it (REDIS_PASSWORD) and can be read by every user of this machine: "
            f"chmod 640 {exposed.file}; or put each in a file of its own (NAME_FILE)"
        )
        exposed.file.chmod(0o640)
        assert exposed.look({"REDIS_PASSWORD_FILE": None, "REDIS_PASSWORD": "s3cr3t"}) == []


class TestFolders:
    def test_those_that_are_not_there_are_told_together(self, installation: Installation) -> None:
        changes = {"VMAIL_DATA": "./none/vmail", "REDIS_DATA": "./none/redis"}
        found = only(installation.look(changes))
        paths = f"{installation.folder}/none/vmail {installation.folder}/none/redis"
        assert found.severity == WARNING
        assert found.text == (
            "VMAIL_DATA, REDIS_DATA do not exist, and Docker would make what is missing for root alone: "
            f"install -d -g 0 -m 770 {paths}"
        )
        assert found.lines == (installation.line_of("VMAIL_DATA"), installation.line_of("REDIS_DATA"))
        assert found.services == ("imap", "mail-redis")

    @in_group_0
    def test_the_command_that_is_told_helps(self, installation: Installation) -> None:
        changes = {"VMAIL_DATA": "./none/vmail", "REDIS_DATA": "./none/redis"}
        command = only(installation.look(changes)).text.partition(": ")[2]
        assert os.system(command) == 0
        assert installation.look(changes) == []

    def test_defaults_are_below_the_domain(self, installation: Installation) -> None:
        found = only(installation.look({"VMAIL_DATA": None}))
        assert "/data/example.org/vmail" in found.text
        assert found.lines == (installation.line_of("DOMAIN"),)

    def test_one_that_group_0_may_not_write_in(self, installation: Installation) -> None:
        path = installation.folder / "data/redis"
        path.chmod(0o755)
        found = only(installation.look())
        assert found.severity == WARNING
        assert found.text == (
            "REDIS_DATA is not writable for group 0, which the containers run in: "
            f"chgrp -R 0 {path}; chmod -R g+rwX {path}"
        )

    @in_group_0
    def test_one_of_group_0(self, installation: Installation) -> None:
        (installation.folder / "data/redis").chmod(0o770)
        assert installation.look() == []

    @as_root
    def test_the_mail_store_may_belong_to_its_user(self, installation: Installation) -> None:
        path = installation.folder / "data/vmail"
        os.chown(path, 4999, 4999)
        path.chmod(0o700)
        assert installation.look({"vmail_uid": "4999"}) == []
        assert len(installation.look({"vmail_uid": "5000"})) == 1

    def test_a_file_is_no_folder(self, installation: Installation) -> None:
        path = installation.secret("file", "x")
        found = only(installation.look({"RSPAM_DATA": "./file"}))
        assert (found.severity, found.text) == (ERROR, f"RSPAM_DATA={path} is no folder")

    @pytest.mark.parametrize("volume", ["vmail", "redis"])
    def test_a_volume_of_ours(self, volume: str, installation: Installation) -> None:
        assert installation.look({"VMAIL_DATA": volume}) == []

    def test_a_volume_that_nobody_knows(self, installation: Installation) -> None:
        found = only(installation.look({"VMAIL_DATA": "mailboxes"}))
        assert found.severity == ERROR
        assert found.text.startswith(
            "VMAIL_DATA=mailboxes is no path, and no volume of docker-compose.yaml: write ./mailboxes"
        )

    def test_a_volume_of_an_own_compose_file(self, installation: Installation) -> None:
        override = installation.folder / "docker-compose.override.yml"
        override.write_text("volumes:\n  nfs:\n    driver: local\n")
        assert installation.look({"VMAIL_DATA": "nfs"}) == []

    def test_those_of_services_that_are_not_started_are_not_wanted(self, installation: Installation) -> None:
        assert installation.look({"VMAIL_DATA": "./none", "COMPOSE_PROFILES": "global"}) == []

    def test_those_of_services_that_are_switched_off_are_not_wanted(self, installation: Installation) -> None:
        assert installation.look({"CLAMAVLIB": "./none"}) == []
        assert "CLAMAVLIB" in only(installation.look({"CLAMAVLIB": "./none", "ENABLE_CLAMAV": "yes"})).text

    def test_what_is_only_read_has_to_be_there_when_it_is_given(self, installation: Installation) -> None:
        found = only(installation.look({"DNSMASQ_HOSTS_DIR": "./hosts.d"}))
        assert (found.severity, found.services) == (WARNING, ("mail-dnsmasq",))
        assert found.text == (
            "DNSMASQ_HOSTS_DIR=./hosts.d does not exist on this machine: Docker would make an empty folder of it"
        )
        (installation.folder / "hosts.d").mkdir()
        assert installation.look({"DNSMASQ_HOSTS_DIR": "./hosts.d"}) == []

    def test_they_are_those_of_the_compose_file(self) -> None:
        text = (ROOT / "docker-compose.yaml").read_text(encoding="utf-8")
        mounted = set(re.findall(r"(?m)^      - \$\{(\w+):-", text))
        assert mounted <= {*WRITTEN, *READ}
        declared = re.search(r"(?m)^volumes:\n((?:  [a-z-]+:\n)+)", text)
        assert declared
        assert {line.strip(" :") for line in declared[1].splitlines()} == set(VOLUMES)
