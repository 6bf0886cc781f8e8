"""Commands before the daemon: with their own words when they refuse, and without secrets."""

from __future__ import annotations

import os
import sys
import time

import pytest

from entrypoint import quoting
from entrypoint.check import run_all
from entrypoint.errors import CheckError
from entrypoint.service import Command
from entrypoint.settings import Secret

SECRET = Secret('s3cr3t "%{x}\\')


def sh(script: str, **more: object) -> Command:
    return Command(argv=("/bin/sh", "-c", script), purpose="check sample.conf", **more)  # type: ignore[arg-type]


def refusal(command: Command, *secrets: Secret) -> str:
    with pytest.raises(CheckError) as refused:
        run_all([command], {"PATH": os.defpath}, secrets)
    return str(refused.value)


def test_a_good_command_says_nothing() -> None:
    run_all([sh("echo fine"), sh("exit 0")], {}, ())


def test_a_refusal_has_the_commands_own_words() -> None:
    assert refusal(sh("echo 'line 3: what?' >&2; echo; exit 4")) == (
        "cannot check sample.conf: /bin/sh ended with 4\n  line 3: what?"
    )


def test_a_silent_refusal_says_so() -> None:
    assert refusal(sh("exit 1")) == "cannot check sample.conf: /bin/sh ended with 1\n  (it said nothing)"


def test_a_signal_is_told() -> None:
    assert "ended by signal 9" in refusal(sh("kill -9 $$"))


def test_only_the_last_words_are_shown() -> None:
    shown = refusal(sh("for i in $(seq 100); do echo line $i; done; exit 1")).splitlines()
    assert (shown[1], shown[-1], len(shown)) == ("  line 81", "  line 100", 21)


def test_words_of_a_refusal_count_in_spite_of_code_0() -> None:
    assert "ended with 0\n  250 Accepted" in refusal(sh("echo 250 Accepted", refused_by="(?m)^250 Acc"))
    run_all([sh("echo 550 no", refused_by="(?m)^250 Acc")], {}, ())


def test_words_of_a_good_end_count_in_spite_of_another_code() -> None:
    run_all([sh("echo all well; exit 1", accepted_by="all well")], {}, ())
    assert refusal(sh("echo not well; exit 1", accepted_by="all well"))


def test_the_commands_after_a_refusal_are_not_run(tmp_path: os.PathLike[str]) -> None:
    file = f"{os.fspath(tmp_path)}/file"
    with pytest.raises(CheckError):
        run_all([sh("exit 1"), sh(f"touch {file}")], {"PATH": os.defpath}, ())
    assert not os.path.exists(file)  # noqa: PTH110


def test_a_command_gets_its_input_and_its_environment_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LDAP_PASSWORD", "s3cr3t")
    shown = refusal(sh("cat; env; exit 1", stdin="EHLO\n", env={"ROLE": "x"}))
    assert "EHLO" in shown
    assert "ROLE=x" in shown
    assert "LDAP_PASSWORD" not in shown


@pytest.mark.parametrize(("program", "why"), [("/nowhere/x", "No such file"), ("/etc/passwd", "Permission denied")])
def test_a_command_that_cannot_be_run_is_named(program: str, why: str) -> None:
    shown = refusal(Command(argv=(program,), purpose="check sample.conf"))
    assert shown.startswith(f"cannot check sample.conf: {program}: {why}")


def test_a_command_that_hangs_is_ended() -> None:
    begin = time.monotonic()
    assert refusal(sh("exec sleep 60", timeout_s=0.2)) == "cannot check sample.conf: no answer in 0.2 s"
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize(
    "face",
    [
        SECRET.reveal(),
        quoting.exim(SECRET),
        quoting.dovecot(SECRET),
        quoting.redis(SECRET),
        quoting.slapd(SECRET),
        quoting.ucl(SECRET),
        quoting.ldap_filter(SECRET),
        quoting.base64(SECRET),
    ],
)
def test_no_face_of_a_secret_is_shown(face: str) -> None:
    command = Command(argv=(sys.executable, "-c", "import sys; sys.exit(sys.stdin.read())"), purpose="x", stdin=face)
    assert face not in refusal(command, SECRET, Secret("s3"))
    assert "********" in refusal(command, SECRET)
    assert face in refusal(command)


def test_output_that_is_no_text_is_shown_all_the_same() -> None:
    assert "\\xff" in refusal(sh(r"printf '\377'; exit 1"))
