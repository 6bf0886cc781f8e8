"""What tools/setup and the image builder decide, without root, network or engine."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools import commands, console, images
from tools.commands import ask, work
from tools.console import ToolError, step
from tools.machine import apt, base, compose, engine, peers, steps, venv

MIRROR = "http://mirror.test/debian/"
SECURITY = "http://mirror.test/debian-security/"


def target(uri: str, suite: str, component: str = "main", origin: str = "Debian") -> str:
    return f"{uri}\t{suite}\t{component}\t{origin}"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


# --- apt -------------------------------------------------------------------------------------------------------------


def test_other_release_comes_from_this_machines_mirrors_suite_by_suite() -> None:
    here = [
        target(SECURITY, "bookworm-security"),
        target(MIRROR, "bookworm-updates"),
        target(MIRROR, "bookworm"),
        target(MIRROR, "bookworm", "non-free-firmware"),
    ]
    assert apt.derive_sources(here, "bookworm", "trixie") == [
        apt.Source(MIRROR, "trixie"),
        apt.Source(MIRROR, "trixie-updates"),
        apt.Source(SECURITY, "trixie-security"),
    ]


def test_suites_that_this_machine_lacks_are_left_out() -> None:
    assert apt.derive_sources([target(MIRROR, "trixie")], "trixie", "trixie") == [apt.Source(MIRROR, "trixie")]


def test_first_of_several_mirrors_is_taken() -> None:
    here = [target(MIRROR, "trixie"), target("http://second.test/debian/", "trixie")]
    assert apt.derive_sources(here, "trixie", "trixie") == [apt.Source(MIRROR, "trixie")]


def test_origin_may_be_unknown_before_the_first_update() -> None:
    here = [target(MIRROR, "trixie", origin=apt.NO_ORIGIN)]
    assert apt.derive_sources(here, "trixie", "trixie") == [apt.Source(MIRROR, "trixie")]


@pytest.mark.parametrize(
    "foreign",
    [
        target("http://vendor.test/debian/", "bookworm", "stable"),
        target("http://vendor.test/debian/", "bookworm", origin="Vendor"),
        target("http://vendor.test/", "tools-bookworm"),
        target(SECURITY, "bookworm-security"),
    ],
    ids=["other component", "other origin", "other suite", "security alone"],
)
def test_mirrors_of_others_are_no_source_of_debian(foreign: str) -> None:
    assert apt.derive_sources([foreign], "bookworm", "trixie") == []


def test_source_line_names_the_key_that_has_to_have_signed_it() -> None:
    line = str(apt.Source(MIRROR, "trixie"))
    assert line == f"deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] {MIRROR} trixie main"


def test_private_apt_writes_only_into_its_folder(tmp_path: Path) -> None:
    options = apt.private_options([apt.Source(MIRROR, "trixie")], tmp_path)
    folders = [
        word.split("=")[1] for word in options if word.startswith(("Dir::State", "Dir::Cache", "Dir::Etc::sourcelist"))
    ]
    assert len(folders) == 3
    assert all(Path(folder).is_relative_to(tmp_path) for folder in folders)
    assert "Dir::Etc::sourceparts=-" in options


def test_install_without_root_says_what_root_has_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(ToolError, match="not root") as caught:
        apt.install(["debootstrap"], print)
    assert caught.value.help_lines == ("As root: apt-get install debootstrap",)


def test_other_systems_are_told_that_debians_mirrors_are_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(apt, "debian_release", lambda: None)
    with pytest.raises(ToolError, match="this machine is not Debian"):
        apt.sources_of("trixie")


# --- engine, compose, base -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2.20.0", "2.26.1-4", "v2.39.1", "3.0.0"])
def test_compose_that_will_do(version: str) -> None:
    assert compose.new_enough(version)


@pytest.mark.parametrize("version", ["", "1.29.2", "2.19.1", "v2.6.0", "unknown"])
def test_compose_that_will_not_do(version: str) -> None:
    assert not compose.new_enough(version)


def test_plugin_appears_executable_and_complete(tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"plugin")
    target_file = tmp_path / "cli-plugins" / "docker-compose"
    compose.place(tmp_path / "new", target_file)
    assert target_file.read_bytes() == b"plugin"
    assert os.access(target_file, os.X_OK)
    assert list(target_file.parent.iterdir()) == [target_file]


def test_engine_named_by_docker_host_is_nobodys_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://192.0.2.1:2376")
    with pytest.raises(ToolError, match="DOCKER_HOST"):
        engine.require_permission()


def test_without_root_an_engine_cannot_be_started(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(engine, "SOCKET", tmp_path / "none")
    with pytest.raises(ToolError, match="not root") as caught:
        engine.require_permission()
    assert "apt-get install docker.io" in "".join(caught.value.help_lines)


def test_engine_that_ends_at_once_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "server_version", lambda: None)
    with subprocess.Popen(["false"]) as daemon:
        assert not engine.wait_until_ready(daemon)


def test_engine_that_answers_is_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, None, "20.10.24"])
    monkeypatch.setattr(engine, "server_version", lambda: next(answers))
    with subprocess.Popen(["sleep", "60"]) as daemon:
        assert engine.wait_until_ready(daemon)
        engine.end(daemon)


def test_trimming_removes_caches_and_keeps_folders_that_programs_expect(tmp_path: Path) -> None:
    for name in ("var/lib/apt/lists/x_Packages", "var/cache/apt/pkgcache.bin", "usr/share/doc/a/copyright"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    base.trim(tmp_path)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())
    assert left == ["usr/share/doc/a/copyright"]
    assert (tmp_path / "var/lib/apt/lists").is_dir()


# --- venv ------------------------------------------------------------------------------------------------------------


def fingerprint(folder: Path, lock: str, project: str, python: tuple[int, ...] = (3, 11)) -> str:
    (folder / "lock").write_text(lock)
    (folder / "project").write_text(project)
    return venv.fingerprint_of(python, folder / "lock", folder / "project")


@pytest.mark.parametrize(
    ("lock", "project", "python"),
    [("b", "x=1", (3, 11)), ("a", "x=2", (3, 11)), ("a", "x=1", (3, 13))],
    ids=["lock", "package", "python"],
)
def test_environment_is_made_anew(tmp_path: Path, lock: str, project: str, python: tuple[int, ...]) -> None:
    assert fingerprint(tmp_path, "a", "x=1") != fingerprint(tmp_path, lock, project, python)


def test_environment_outlives_settings_of_linters(tmp_path: Path) -> None:
    assert fingerprint(tmp_path, "a", "x=1") == fingerprint(tmp_path, "a", "x=1\n[tool.ruff]\nline-length=99")


# --- images ----------------------------------------------------------------------------------------------------------

SERVICES = {
    "base": {"image": "postern-base:dev", "build": {}},
    "imap": {"image": "postern-imap:dev", "build": {}},
    "exim-external": {"image": "postern-exim:dev", "build": {}},
    "exim-int-mailout": {"image": "postern-exim:dev", "build": {}},
    "database": {"image": "postgres:17"},
}


def test_each_image_is_built_once_after_the_base() -> None:
    first, others = images.sort_out(SERVICES)
    assert first.service == "base"
    assert [(image.label, image.service) for image in others] == [("exim", "exim-external"), ("imap", "imap")]


def test_label_is_what_a_person_calls_the_image() -> None:
    assert images.Image("registry.test:5000/mail/postern-exim:1.0", "x").label == "exim"


def test_addresses_with_passwords_are_passed_by_name_and_to_the_base_only() -> None:
    env = {
        "https_proxy": "http://user:secret@proxy.test",
        "PIP_INDEX_URL": "https://user:secret@index.test",
        "HTTP_PROXY": "",
    }
    assert images.build_args(images.Image("a", "base"), env) == [
        "--build-arg",
        "https_proxy",
        "--build-arg",
        "PIP_INDEX_URL",
    ]
    assert images.build_args(images.Image("a", "imap"), env) == ["--build-arg", "https_proxy"]


def test_extra_certificates_are_the_explicit_ones_first(tmp_path: Path) -> None:
    mine, usual = tmp_path / "mine.pem", tmp_path / "usual.pem"
    mine.touch()
    usual.touch()
    assert images.extra_ca({"SSL_CERT_FILE": str(usual)}) == {"EXTRA_CA": str(usual)}
    assert images.extra_ca({"SSL_CERT_FILE": str(usual), "EXTRA_CA": str(mine)}) == {"EXTRA_CA": str(mine)}


def test_no_extra_certificates_without_a_file(tmp_path: Path) -> None:
    assert images.extra_ca({}) == {}
    assert images.extra_ca({"SSL_CERT_FILE": str(tmp_path / "none")}) == {}


# --- what a person sees ----------------------------------------------------------------------------------------------


def test_step_with_nothing_to_do_says_ok() -> None:
    out = io.StringIO()
    with step("base", out):
        pass
    assert out.getvalue() == "base         ok\n"


def test_step_that_worked_says_what_came_of_it_and_how_long_it_took() -> None:
    out = io.StringIO()
    with step("base", out) as current:
        current.say("making it")
        current.done("made")
    first, last = out.getvalue().splitlines()
    assert first == "base         making it"
    assert last.startswith("base         made (0.")


def test_step_that_failed_says_why_and_what_helps_and_not_ok() -> None:
    out = io.StringIO()
    with pytest.raises(ToolError), step("base", out):
        raise ToolError("cannot make it: no room", "Make room.")
    assert out.getvalue().splitlines() == ["base         cannot make it: no room", "base         Make room."]


def test_colour_only_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert console.paint("ok", console.GREEN, io.StringIO()) == "ok"
    assert console.paint("ok", console.GREEN, Terminal()) == "\x1b[32mok\x1b[0m"


def test_no_colour_where_a_person_does_not_want_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert console.paint("ok", console.GREEN, Terminal()) == "ok"


def test_unknown_step_is_a_wrong_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert steps.main(["engin"]) == 64
    assert "no step is called engin" in capsys.readouterr().err


# --- running programs ------------------------------------------------------------------------------------------------


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(commands, "CACHE", tmp_path)
    return tmp_path


def test_answer_is_what_the_program_prints() -> None:
    assert ask("echo", "yes") == "yes"


@pytest.mark.parametrize("command", [("false",), ("/nonexistent/program",), ("sleep", "60")])
def test_no_answer_from_a_program_that_fails_is_missing_or_too_slow(command: tuple[str, ...]) -> None:
    assert ask(*command, timeout_s=0.2) is None


def test_failed_work_shows_the_end_of_its_log(logs: Path) -> None:
    script = "import sys; print('first'); print('no space left'); sys.exit(3)"
    with pytest.raises(ToolError, match=r"exit code 3") as caught:
        work([sys.executable, "-c", script], log="work", say=print)
    assert caught.value.help_lines == ("first", "no space left")
    assert (logs / "work.log").read_text() == "first\nno space left\n"


def test_work_that_takes_long_gives_a_sign_of_life(logs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SIGN_OF_LIFE_S", 0.05)
    go_on = logs / "go-on"
    os.mkfifo(go_on)
    writer = os.open(go_on, os.O_RDWR)  # opened for both, so that neither side waits for the other
    said: list[str] = []

    def say(text: str) -> None:
        said.append(text)
        if "unpacking" in text:
            os.write(writer, b"\n")

    work(["sh", "-c", f"echo unpacking; read -r _ < {go_on}"], log="work", say=say)
    os.close(writer)
    assert "unpacking" in said[-1]


@pytest.mark.usefixtures("logs")
def test_work_without_an_end_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "SIGN_OF_LIFE_S", 0.1)
    with pytest.raises(ToolError, match="no end after"):
        work(["sleep", "60"], log="work", say=lambda _: None, timeout_s=0.2)


# --- peers -----------------------------------------------------------------------------------------------------------


def test_peers_that_are_missing_are_named_with_the_command_that_root_has_to_give(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "s6-svscan" else f"/usr/bin/{name}")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with (
        pytest.raises(ToolError, match="cannot install s6: not root") as caught,
        step("peers", io.StringIO()) as current,
    ):
        peers.set_up(current)
    assert caught.value.help_lines == ("As root: apt-get install s6", "What is missing has no figures in the table.")


def test_peers_that_are_there_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    said = io.StringIO()
    with step("peers", said) as current:
        peers.set_up(current)
    assert "ok: s6, curl" in said.getvalue()
