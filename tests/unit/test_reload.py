"""A reload as the supervisor runs it: real settings, files, openssl; only the daemons' own checkers are not here."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from entrypoint import ask_reload, boot, reload
from entrypoint.aside import Aside
from entrypoint.errors import EntrypointError, Unavailable
from entrypoint.plan import Plan, Program, keep_environment, kept_environment, read_plan, write_plan
from entrypoint.render import write_tree
from entrypoint.service import Command, Service
from entrypoint.services import exim_ext_mailout, imap
from entrypoint.watch import signature
from tests.unit.authority import Authority

NAMES = "DNS:imap.example.org,DNS:mailout.example.org,DNS:smarthost.example.org"
SECRET = "s3cr3t"


class Place:
    """A container's files, as far as a reload knows them: what is mounted, and what is in place."""

    def __init__(self, folder: Path, authority: Authority, service: Service[Any]) -> None:
        self.authority = authority
        # Without the daemon's own checker, and without volumes: none of that is on this machine.
        self.service = replace(service, checks=lambda _settings: (), writes=())
        self.root, self.run, self.mounted = (folder / name for name in ("root", "run", "mounted"))
        self.mounted.mkdir()
        self.certificate, self.key, self.password = (self.mounted / name for name in ("chain", "key", "password"))
        self.renew()
        self.password.write_text(SECRET)
        self.env = {
            "DOMAIN": "example.org",
            "TLS_CERTIFICATE": str(self.certificate),
            "TLS_KEY": str(self.key),
            "TLS_CA": str(authority.ca_file),
            "LDAP_HOSTS": "ldap.example.org",
            "LDAP_USER": "cn=postern",
            "LDAP_PASSWORD_FILE": str(self.password),
            "LDAP_BASE": "dc=example",
            "LDAP_GROUP": "cn=mail",
        }

    def boot(self) -> None:
        """What the first stage leaves."""
        made = boot.make(self.service, self.env)
        write_tree(made.files, self.root)
        write_plan(made.plan, self.run / "plan.json")

    def reload(self) -> reload.Result:
        """A reload of what `boot` has left."""
        return reload.reload(self.service, self.env, self.plan(), self.run, self.root)

    def refused(self) -> str:
        """Why a reload is refused; nothing is another one than before then."""
        before = self.in_place()
        with pytest.raises(EntrypointError) as why:
            self.reload()
        assert self.in_place() == before
        return str(why.value)

    def plan(self) -> Plan:
        """The plan as it is now."""
        return read_plan(self.run / "plan.json")

    def in_place(self) -> Mapping[str, str]:
        """The files in place, and the plan."""
        files = [path for folder in (self.root, self.run) for path in folder.rglob("*") if path.is_file()]
        return {str(path): path.read_text() for path in files}

    def pair(self) -> str:
        """What the daemon reads."""
        return (self.root / "run/tls/pair.pem").read_text()

    def renew(self, names: str = NAMES, **times: str) -> None:
        """Another certificate and its key."""
        certificate, key = self.authority.certificate(names, **times)
        shutil.copy(certificate, self.certificate)
        shutil.copy(key, self.key)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("reload") / "authority")


@pytest.fixture
def place(tmp_path: Path, authority: Authority) -> Place:
    made = Place(tmp_path, authority, imap.SERVICE)
    made.boot()
    return made


class TestWhatIsTaken:
    def test_nothing_new_tells_nobody(self, place: Place) -> None:
        before = place.in_place()
        assert place.reload() == reload.Result(line="nothing has changed", actions={})
        assert place.in_place() == before

    def test_a_new_certificate(self, place: Place) -> None:
        before = place.plan()
        place.renew()
        result = place.reload()
        assert result.line == "changed: /run/tls/pair.pem; dovecot gets SIGHUP"
        assert (result.actions, result.code) == ({"dovecot": "HUP"}, 0)
        assert place.pair() == place.certificate.read_text() + place.key.read_text()
        assert place.plan().watch != before.watch

    def test_a_new_password(self, place: Place) -> None:
        place.password.write_text("an0ther")
        assert place.reload().actions == {"dovecot": "HUP"}
        assert "an0ther" in (place.root / "run/config/dovecot.conf").read_text()
        assert "an0ther" in (place.root / "run/entrypoint/secrets/ldap-password").read_text()
        assert SECRET not in "".join(place.in_place().values())

    def test_a_folder_whose_link_is_swapped_as_in_kubernetes(self, place: Place) -> None:
        versions = place.mounted / "versions"
        for name in ("one", "two"):
            (versions / name).mkdir(parents=True)
            certificate, key = place.authority.certificate(NAMES)
            shutil.copy(certificate, versions / name / "tls.crt")
            shutil.copy(key, versions / name / "tls.key")
        link = versions / "..data"
        link.symlink_to("one")
        place.env |= {"TLS_CERTIFICATE": f"{link}/tls.crt", "TLS_KEY": f"{link}/tls.key"}
        place.boot()
        (versions / "new").symlink_to("two")
        (versions / "new").replace(link)
        assert place.reload().actions == {"dovecot": "HUP"}
        assert place.pair().startswith((versions / "two" / "tls.crt").read_text())

    def test_what_only_looks_new_tells_nobody_and_is_remembered(self, place: Place) -> None:
        before = place.plan().watch
        place.certificate.touch()
        os.utime(place.certificate, (1, 1))
        assert place.reload().actions == {}
        assert place.plan().watch != before

    def test_a_file_that_is_no_longer_rendered_is_removed(self, place: Place) -> None:
        old = place.root / "run/config/old.conf"
        old.write_text("x")
        write_plan(replace(place.plan(), files=(*place.plan().files, "/run/config/old.conf")), place.run / "plan.json")
        assert place.reload().actions == {"dovecot": "HUP"}
        assert not old.exists()
        assert (place.root / "run/config/dovecot.conf").exists()


class TestWhatIsRefused:
    def test_a_key_of_another_certificate(self, place: Place) -> None:
        shutil.copy(place.authority.certificate(NAMES)[1], place.key)
        assert place.refused() == (
            f"cannot use TLS_CERTIFICATE={place.certificate}: with TLS_KEY={place.key}, "
            "the key is that of another certificate"
        )

    def test_an_expired_one(self, place: Place) -> None:
        place.renew(ends="20200101000000Z")
        assert "it expired on" in place.refused()

    def test_one_of_other_names(self, place: Place) -> None:
        place.renew("DNS:smtp.example.org")
        assert "it is not for imap.example.org" in place.refused()

    def test_an_empty_secret(self, place: Place) -> None:
        place.password.write_text("\n")
        assert "LDAP_PASSWORD_FILE names" in place.refused()

    def test_what_the_daemons_checker_refuses(self, place: Place) -> None:
        checker = Command(argv=("sh", "-c", "grep -H uris /run/config/dovecot.conf; exit 3"), purpose="check it")
        place.service = replace(place.service, checks=lambda _settings: (checker,))
        assert place.reload().line == "nothing has changed"  # and so nobody was asked
        place.renew()
        shown = place.refused()
        assert (
            shown
            == 'cannot check it: sh ended with 3\n  /run/config/dovecot.conf:ldap_uris = "ldap://ldap.example.org:389"'
        )
        assert not (place.run / "aside").exists()

    def test_a_file_that_changes_while_it_is_read(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        place.renew()
        monkeypatch.setattr(boot, "check_writable", lambda _folders: place.password.write_text("later"))
        assert place.refused() == f"cannot use {place.password}: somebody is changing it; try again when that is done"


class TestWhatIsSaid:
    @pytest.fixture
    def running(self, place: Place) -> Place:
        """With all that a process of its own reads."""
        keep_environment(place.env, place.run / "environment.json")
        return place

    def result(self, place: Place) -> tuple[int, dict[str, Any]]:
        code = reload.main(place.run, place.root)
        told: dict[str, Any] = json.loads((place.run / "reload.json").read_text())
        assert told.pop("at") == pytest.approx(time.time(), abs=60)
        return code, told

    def test_what_was_done(self, running: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(reload, "find", lambda _name: running.service)
        running.renew()
        line = "changed: /run/tls/pair.pem; dovecot gets SIGHUP"
        assert self.result(running) == (0, {"ok": True, "line": line, "actions": {"dovecot": "HUP"}})

    def test_why_not(self, running: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.setattr(reload, "find", lambda _name: running.service)
        running.password.write_text("")
        code, told = self.result(running)
        assert (code, told["ok"], told["actions"]) == (78, False, {})
        assert told["line"].startswith("cannot read the settings: LDAP_PASSWORD_FILE names ")
        last = json.loads(capsys.readouterr().err.splitlines()[-1])
        assert last["event"] == "reload refused, everything stays as it was"
        assert "LDAP_PASSWORD_FILE names" in last["why"]

    def test_a_bug(self, running: Place) -> None:
        (running.run / "environment.json").unlink()
        code, told = self.result(running)
        assert (code, told["ok"]) == (70, False)
        assert told["line"].startswith("a bug in entrypoint: FileNotFoundError")

    def test_the_environment_survives_with_any_bytes_and_for_its_owner_only(self, tmp_path: Path) -> None:
        env = {"A": "ü\udcff", "B": ""}
        keep_environment(env, tmp_path / "environment.json")
        assert kept_environment(tmp_path / "environment.json") == env
        assert (tmp_path / "environment.json").stat().st_mode & 0o777 == 0o600


class TestActions:
    daemon = Program(name="daemon", argv=("x",), reload="HUP", restart_for=("/run/config/*", "/etc/postern/own.d"))

    @pytest.mark.parametrize(
        ("changed", "action"),
        [("/run/tls/pair.pem", "HUP"), ("/run/config/a/b", "restart"), ("/etc/postern/own.d", "restart")],
    )
    def test_a_signal_or_a_restart_where_only_that_helps(self, changed: str, action: str) -> None:
        assert reload.actions([self.daemon], [changed]) == {"daemon": action}

    def test_a_daemon_without_a_signal_is_restarted(self) -> None:
        assert reload.actions([replace(self.daemon, reload="")], ["/x"]) == {"daemon": "restart"}

    def test_jobs_and_the_rest_are_left_alone(self) -> None:
        assert reload.actions([replace(self.daemon, kind="job"), replace(self.daemon, kind="once")], ["/x"]) == {}

    def test_a_job_runs_that_wants_to(self) -> None:
        job = replace(self.daemon, name="job", kind="job", reload="RUN", restart_for=())
        assert reload.actions([self.daemon, job], ["/x"]) == {"daemon": "HUP", "job": "RUN"}
        assert reload.actions([self.daemon, job], []) == {}

    def test_nothing_for_nothing(self) -> None:
        assert reload.actions([self.daemon], []) == {}


FILES = {Path(path): "" for path in ("/run/config/a/b.conf", "/run/tls/pair.pem", "/run/entrypoint/secrets/x")}


class TestAside:
    @pytest.mark.parametrize(
        ("text", "aside"),
        [
            ("include /run/config/a", "include /aside/run/config/a"),
            ('"/run/tls/pair.pem"', '"/aside/run/tls/pair.pem"'),
            ("--conf-file=/run/config", "--conf-file=/aside/run/config"),
            ("lsearch{/run/config/dkim}{/run/tls}", "lsearch{/aside/run/config/dkim}{/aside/run/tls}"),
            ("file:/run/entrypoint/secrets/x", "file:/aside/run/entrypoint/secrets/x"),
            ("/run/configuration /run/config.d /run/config-d", "/run/configuration /run/config.d /run/config-d"),
            ("/var/run/config /x.d/run/tls ../run/tls", "/var/run/config /x.d/run/tls ../run/tls"),
            ("/run/exim/log /run/dovecot", "/run/exim/log /run/dovecot"),
        ],
    )
    def test_what_is_rendered_is_named_anew_and_nothing_else(self, text: str, aside: str) -> None:
        twin = Aside(Path("/aside"), FILES)
        assert twin.text(text) == aside
        assert twin.words(aside) == text

    def test_a_command_is_for_the_twins(self) -> None:
        command = Command(argv=("x", "-f/run/tls", "-f", "/run/tls"), env={"A": "/run/config/a"}, purpose="x")
        made = Aside(Path("/aside"), FILES).command(command)
        assert made.argv == ("x", "-f/run/tls", "-f", "/aside/run/tls")
        assert made.env == {"A": "/aside/run/config/a"}

    def test_the_twins_are_for_their_owner_and_removed(self, tmp_path: Path) -> None:
        folder = tmp_path / "aside"
        (folder / "left over").mkdir(parents=True)
        with Aside(folder, FILES).written():
            assert folder.stat().st_mode & 0o777 == 0o700
            assert not (folder / "left over").exists()
            assert (folder / "run/tls/pair.pem").stat().st_mode & 0o777 == 0o600
        assert not folder.exists()


class TestCopies:
    def test_dkim_keys_are_copied_by_domain_and_the_one_that_is_gone_is_removed(
        self, tmp_path: Path, authority: Authority
    ) -> None:
        place = Place(tmp_path, authority, exim_ext_mailout.SERVICE)
        keys = tmp_path / "keys"
        keys.mkdir()
        for domain in ("example.org", "example.net"):
            shutil.copy(place.key, keys / f"{domain}.pem")
        place.env |= {"EXIM_LOCAL_DOMAINS": "example.org:example.net:example.com"}
        place.env |= {"EXIM_DKIM_SELECTOR": "x", "DKIM_KEYS": str(keys)}
        place.boot()
        dkim = place.root / "run/config/dkim"
        assert "example.net: /run/tls/dkim/example.net.pem\n" in dkim.read_text()
        assert {path.name for path in (place.root / "run/tls/dkim").iterdir()} == {"example.org.pem", "example.net.pem"}
        assert str(keys) in place.plan().watch
        (keys / "example.net.pem").unlink()
        assert place.reload().actions == {"exim": "HUP"}
        assert {path.name for path in (place.root / "run/tls/dkim").iterdir()} == {"example.org.pem"}
        assert "example.net" not in dkim.read_text()

    def test_the_plan_watches_what_others_write(self, place: Place) -> None:
        watched = {str(place.certificate), str(place.key), str(place.password), str(place.authority.ca_file)}
        assert set(place.plan().watch) == watched
        assert all(place.plan().watch.values())

    @pytest.mark.parametrize("target", [".", "..", "loop"])
    def test_a_link_that_leads_in_a_circle_is_followed_once(self, tmp_path: Path, target: str) -> None:
        """A person's mistake in a mounted folder; what else is there is watched as before."""
        folder = tmp_path / "hosts.d"
        folder.mkdir()
        (folder / "loop").symlink_to(target)
        before = signature(str(folder))
        assert before == signature(str(folder))
        (folder / "new").touch()
        assert signature(str(folder)) != before

    def test_daemons_and_probes_get_the_copies(self, place: Place) -> None:
        shown = place.plan().to_json() + (place.root / "run/config/dovecot.conf").read_text()
        assert "/run/tls/pair.pem" in shown
        rendered = (place.root / "run/config/dovecot.conf").read_text()
        assert str(place.mounted) not in rendered
        assert str(place.authority.ca_file) not in rendered

    def test_text_around_a_certificate_may_be_in_any_encoding(self, place: Place) -> None:
        place.certificate.write_bytes("Für die Schule\n".encode("latin-1") + place.certificate.read_bytes())
        assert place.reload().actions == {"dovecot": "HUP"}
        assert "-----BEGIN CERTIFICATE-----" in place.pair()


class TestAsking:
    """`entrypoint reload`, beside a process that answers as the supervisor does."""

    ANSWER = """
import json, os, pathlib, signal, sys, time
file, ok = pathlib.Path(sys.argv[1]), sys.argv[2] == "ok"
def write(phase="running", reload=None):
    new = file.with_suffix(".new")
    job = {"reload": {"state": "waiting"}}
    new.write_text(json.dumps({"phase": phase, "pid": os.getpid(), "reload": reload, "programs": job}))
    new.replace(file)
def answer(*_):
    if sys.argv[2] == "stops":
        write("stopping")
    elif sys.argv[2] != "silent":
        write(reload={"at": time.time(), "ok": ok, "line": "told so"})
signal.signal(signal.SIGHUP, answer)
write(reload={"at": 1.0, "ok": not ok, "line": "of long ago"})
while True:
    signal.pause()
"""

    @pytest.fixture
    def supervisor(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
        file = tmp_path / "state.json"
        process = subprocess.Popen([sys.executable, "-c", self.ANSWER, file, request.param])
        deadline = time.monotonic() + 20
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        yield file
        process.kill()
        process.wait()

    @pytest.mark.parametrize(("supervisor", "code"), [("ok", 0), ("bad", 78)], indirect=["supervisor"])
    def test_says_what_came_of_it(self, supervisor: Path, code: int, capsys: pytest.CaptureFixture[str]) -> None:
        assert ask_reload.main(supervisor) == code
        assert capsys.readouterr().out == "told so\n"

    @pytest.mark.parametrize(
        ("supervisor", "why"), [("silent", "no answer in time"), ("stops", "is stopping")], indirect=["supervisor"]
    )
    def test_nobody_waits_for_ever(self, supervisor: Path, why: str) -> None:
        with pytest.raises(Unavailable, match=why):
            ask_reload.main(supervisor, deadline_s=0.5)

    def test_where_nothing_runs(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match=r"No such file or directory; this is for a container"):
            ask_reload.main(tmp_path / "state.json")

    @pytest.mark.parametrize("supervisor", ["ok"], indirect=True)
    def test_where_the_supervisor_is_gone(self, supervisor: Path) -> None:
        state = json.loads(supervisor.read_text())
        os.kill(state["pid"], signal.SIGKILL)
        os.waitpid(state["pid"], 0)
        with pytest.raises(Unavailable, match="No such process"):
            ask_reload.main(supervisor)
