"""The command line as people and containers use it: in its own process, with its exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from entrypoint import __version__, cli
from entrypoint.commands import plan
from entrypoint.service import names

ROOT = Path(__file__).parents[2]
GOOD = """DOMAIN=example.org
REDIS_PASSWORD=s3cr3t
"""


def entrypoint(
    *arguments: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "entrypoint", *map(str, arguments)]
    return subprocess.run(
        command,
        env={"PATH": os.defpath, **(env or {})},
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    """A file that is good for mail-redis and mail-dnsmasq, with their folder."""
    file, folder = tmp_path / ".env", tmp_path / "redis"
    folder.mkdir()
    folder.chmod(0o777)
    file.write_text(f"{GOOD}REDIS_DATA={folder}\n")
    return file


class TestCommandLine:
    def test_help_names_every_command_and_exit_code(self) -> None:
        done = entrypoint("--help")
        assert done.returncode == 0
        assert all(
            word in done.stdout for word in ("run", "check", "render", "plan", "health", "64", "69", "78", "127")
        )

    def test_version(self) -> None:
        assert entrypoint("--version").stdout.strip() == __version__

    @pytest.mark.parametrize(
        "arguments",
        [(), ("dance",), ("run",), ("run", "imap", "x"), ("run", "postfix"), ("render", "imap"), ("check", "x")],
    )
    def test_a_wrong_command_line_ends_with_64(self, arguments: Sequence[str]) -> None:
        done = entrypoint(*arguments)
        assert done.returncode == 64
        assert done.stderr
        assert "Traceback" not in done.stderr

    def test_an_unknown_service_is_told_the_known_ones(self) -> None:
        done = entrypoint("run", "dovecot")
        assert done.stderr == f"entrypoint: cannot find the service 'dovecot': known are {', '.join(names())}\n"

    @pytest.mark.parametrize("arguments", [("--help",), ("health", "--help"), ("plan",)])
    def test_quick_commands_import_little(self, arguments: Sequence[str]) -> None:
        shown = subprocess.run(
            [sys.executable, "-X", "importtime", "-m", "entrypoint", *arguments],
            cwd=ROOT, capture_output=True, text=True, check=False,
        ).stderr  # fmt: skip
        imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in shown.splitlines()}
        assert "entrypoint" in imported
        assert not imported & {"jinja2", "ldap3", "structlog", "supervisor", "psutil", "subprocess", "ssl"}

    def test_a_reader_that_has_seen_enough_is_no_bug(self, env_file: Path) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "entrypoint", "check", "mail-redis", f"--env-file={env_file}"]
        done = subprocess.run(command, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writer)
        assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")

    def test_without_a_plan_there_is_none_to_show(self) -> None:
        done = entrypoint("plan")
        assert done.returncode == 64
        assert done.stderr.startswith("entrypoint: cannot show the plan: ")


class TestCheck:
    def test_good_settings_end_with_0(self, env_file: Path) -> None:
        done = entrypoint("check", "mail-redis", "mail-dnsmasq", "--env-file", env_file)
        assert (done.returncode, done.stdout, done.stderr) == (0, "good for mail-redis, mail-dnsmasq\n", "")

    def test_bad_ones_end_with_78_and_a_table(self, env_file: Path) -> None:
        env_file.write_text(env_file.read_text() + "WAIT_S=long\nREDIS_PORT=0\nLDAP_BA")
        done = entrypoint("check", "mail-redis", "mail-dnsmasq", "--env-file", env_file)
        head, *rows, empty, summary = done.stdout.splitlines()
        assert (done.returncode, head, empty) == (78, "LINE  LEVEL  FINDING", "")
        assert [row[:13] for row in rows] == ["   4  error  ", "   5  error  ", "   6  error  "]
        assert rows[0][13:].startswith("WAIT_S got 'long', which is no whole number: ")
        assert all(row.endswith(" (mail-redis, mail-dnsmasq)") for row in rows[:2])
        assert rows[2][13:] == "the line is not NAME=value"
        assert summary == "3 errors (for mail-redis, mail-dnsmasq)"

    def test_warnings_alone_end_with_1(self, env_file: Path) -> None:
        env_file.write_text(env_file.read_text() + "TIMEZONE=UTC\n")
        done = entrypoint("check", "mail-redis", "--env-file", env_file)
        assert done.returncode == 1
        assert done.stdout.splitlines() == [
            "LINE  LEVEL    FINDING",
            "   4  warning  TIMEZONE is an old name: write TZ (mail-redis)",
            "",
            "1 warning (for mail-redis)",
        ]

    def test_programs_get_everything_as_json(self, env_file: Path) -> None:
        env_file.write_text(env_file.read_text() + "TIMEZONE=UTC\n")
        done = entrypoint("check", "mail-redis", "--json", "--env-file", env_file)
        assert json.loads(done.stdout) == {
            "services": ["mail-redis"],
            "findings": [
                {
                    "severity": "warning",
                    "text": "TIMEZONE is an old name: write TZ",
                    "variables": ["TIMEZONE"],
                    "lines": [4],
                    "services": ["mail-redis"],
                }
            ],
        }

    def test_the_network_is_asked_when_it_is_wanted(self, env_file: Path) -> None:
        env_file.write_text(env_file.read_text() + "REDIS_IP=127.0.0.1\nREDIS_PORT=1\nMAIL_NETWORK=127.0.0.0/8\n")
        changed = ("check", "mail-redis", f"--env-file={env_file}")
        assert "redis://" not in entrypoint(*changed).stdout
        asked = entrypoint(*changed, "--online").stdout
        assert "redis://127.0.0.1:1\nRUNG" in asked
        assert "cannot be reached from here (connection refused)" in asked

    def test_a_file_that_is_not_there_ends_with_78(self) -> None:
        done = entrypoint("check", "--env-file", "/nowhere/.env")
        assert (done.returncode, done.stderr) == (
            78,
            "entrypoint: cannot read /nowhere/.env: No such file or directory\n",
        )

    def test_without_a_file_it_is_the_environment(self) -> None:
        env = {"DOMAIN": "example", "REDIS_PASSWORD": "x"}
        done = entrypoint("check", "mail-redis", env=env)
        assert done.returncode == 1
        assert "DOMAIN: example has no dot and means example.de; write the full name" in done.stdout


class TestCheckOnATerminal:
    """The same, looked at by a person: colours, and sentences that fit."""

    @staticmethod
    def seen(env_file: Path, columns: int, **env: str) -> str:
        """What comes on a terminal of this width."""
        ours, theirs = pty.openpty()
        command = [sys.executable, "-m", "entrypoint", "check", "mail-redis", f"--env-file={env_file}"]
        variables = {"PATH": os.defpath, "COLUMNS": str(columns), **env}
        with subprocess.Popen(command, cwd=ROOT, env=variables, stdout=theirs) as process:
            os.close(theirs)
            shown = b""
            with contextlib.suppress(OSError):  # so a terminal ends
                while part := os.read(ours, 65536):
                    shown += part
        os.close(ours)
        assert process.returncode == 78
        return shown.decode().replace("\r\n", "\n")

    def test_long_sentences_go_on_below(self, env_file: Path) -> None:
        env_file.write_text(env_file.read_text() + "REDIS_PORT=70000\n")
        shown = self.seen(env_file, 80, NO_COLOR="1")
        lines = shown.splitlines()
        assert all(len(line) <= 80 for line in lines)
        assert lines[1].startswith("   4  error  REDIS_PORT got '70000'")
        assert lines[2].startswith(" " * 13)
        assert "\x1b" not in shown

    def test_there_is_colour(self, env_file: Path) -> None:
        env_file.write_text(env_file.read_text() + "REDIS_PORT=70000\n")
        assert "\x1b[31merror\x1b[0m" in self.seen(env_file, 80)


class TestRender:
    def test_files_are_written_below_a_folder_and_listed(self, env_file: Path, tmp_path: Path) -> None:
        done = entrypoint("render", "mail-redis", "--env-file", env_file, "--out", tmp_path / "out")
        assert done.returncode == 0, done.stderr
        listed = {Path(line) for line in done.stdout.splitlines()}
        assert listed == {path for path in (tmp_path / "out/run").rglob("*") if path.is_file()}
        assert tmp_path / "out/run/config/redis.conf" in listed

    def test_what_is_refused_writes_nothing(self, env_file: Path, tmp_path: Path) -> None:
        env_file.write_text(GOOD + "REDIS_PORT=0\n")
        done = entrypoint("render", "mail-redis", "--env-file", env_file, "--out", tmp_path / "out")
        assert done.returncode == 78
        assert not (tmp_path / "out").exists()


NAMES = {"LDAP_USER": "cn=x,dc=x", "LDAP_GROUP": "cn=mail,dc=x"}


class TestRun:
    """What happens before any file is touched; the rest is for containers (tests/image)."""

    def test_refused_settings_end_with_78(self) -> None:
        done = entrypoint("run", "ldap", env={"DOMAIN": "example.org", "LDAP_BASE": "dc=x", **NAMES})
        assert done.returncode == 78
        assert done.stderr == (
            "entrypoint: cannot read the settings:\n"
            "  LDAP_PASSWORD or LDAP_PASSWORD_FILE is missing: password of LDAP_USER "
            "(a text of one line, best in a file: LDAP_PASSWORD_FILE=./secrets/ldap-password)\n"
        )

    def test_a_password_that_cannot_be_made_is_refused_with_the_cure(self) -> None:
        done = entrypoint("run", "mail-redis", env={"DOMAIN": "example.org"})
        assert done.returncode == 78
        assert done.stderr == (
            "entrypoint: cannot make /var/lib/passwords/REDIS_PASSWORD, as REDIS_PASSWORD is not set: No such file or "
            "directory; mount a volume at /var/lib/passwords in which group 0 may write, or give REDIS_PASSWORD or "
            "REDIS_PASSWORD_FILE\n"
        )

    def test_as_json_a_refusal_is_one_event_on_one_line(self) -> None:
        done = entrypoint("run", "mail-redis", env={"DOMAIN": "example.org", "REDIS_PORT": "0", "LOG_FORMAT": "json"})
        (line,) = done.stderr.splitlines()
        event = json.loads(line)
        assert (event["level"], event["service"], event["program"]) == ("error", "mail-redis", "entrypoint")
        assert "REDIS_PORT got '0'" in event["event"]

    def test_a_bug_ends_with_70_and_a_traceback(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(plan, "run", lambda _options: 1 // 0)
        assert cli.main(["plan"]) == 70
        shown = capsys.readouterr().err
        assert shown.startswith("entrypoint: a bug in entrypoint\nTraceback")
        assert "ZeroDivisionError" in shown


WAITS = """
import signal, sys, types
from pathlib import Path
from entrypoint import cli

def run(*_):  # stands for everything up to the daemon, which is slow
    Path(sys.argv[1]).touch()
    signal.pause()

sys.modules["entrypoint.boot"] = boot = types.ModuleType("entrypoint.boot")
boot.run = run
import entrypoint
entrypoint.boot = boot
sys.exit(cli.main(["run", "mail-redis"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_the_daemon_ends_it_at_once_with_0_and_a_line(number: signal.Signals, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with subprocess.Popen([sys.executable, "-c", WAITS, ready], cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        try:
            until(ready.exists)
            begin = time.monotonic()
            process.send_signal(number)
            _, shown = process.communicate(timeout=10)
        finally:
            process.kill()
    assert time.monotonic() - begin < 2
    assert process.returncode == 0
    assert shown == f"entrypoint: stopped by {number.name} before the daemon was started\n"


def until(question: Callable[[], bool], deadline_s: float = 20) -> None:
    end = time.monotonic() + deadline_s
    while not question():
        assert time.monotonic() < end
        time.sleep(0.01)
