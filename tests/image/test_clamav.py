"""The clamav image: clamd with signatures of our own, and what freshclam makes of mirrors near and far."""

from __future__ import annotations

import base64
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.containers import Container, container, network, prefix, wait_until
from tools.demo.world import EICAR, EICAR_NAME, EICAR_SIGNATURE

pytestmark = pytest.mark.image

NET = prefix(7)
MIRROR = f"http://{NET}.80:8080"
VIRUS = bytes.fromhex(EICAR)
OWN = "/etc/postern/clamav.d"
LIBRARY = "/var/lib/clamav"
PYTHON = "/opt/postern/venv/bin/python"
ENV = {"DOMAIN": "example.org", "ENABLE_CLAMAV": "yes", "FRESHCLAM_MIRROR": "none", "WAIT_S": "5"}
OFFLINE = ("--network=none",)
SIGNATURE = "Own.{}:0:*:{}\n"


def signature(name: str, text: str) -> str:
    """A line of an .ndb file: this text anywhere in any file."""
    return SIGNATURE.format(name, text.encode().hex())


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A folder with own signatures: the one of the test virus."""
    folder = tmp_path / "own"
    folder.mkdir()
    folder.chmod(0o755)
    write(folder / "eicar.ndb", EICAR_SIGNATURE)
    return folder


def write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o644)


@contextmanager
def clamav(own: Path | None = None, *options: str, **changes: str) -> Iterator[Container]:
    mounts = {OWN: own} if own else {}
    with container("clamav", env=ENV | changes, files=mounts, options=options) as running:
        yield running


SCAN = """
import base64, socket, struct, sys
data = base64.b64decode(sys.stdin.read())
with socket.create_connection(("127.0.0.1", 3310)) as clamd:
    clamd.sendall(b"nINSTREAM\\n")
    try:
        for part in (data[at : at + 65536] for at in range(0, len(data), 65536)):
            clamd.sendall(struct.pack(">I", len(part)) + part)
        clamd.sendall(bytes(4))
    except OSError:
        pass  # clamd has had enough
    print(clamd.recv(1000).decode())
"""


def scan(clamd: Container, content: bytes) -> str:
    """What clamd says of it, asked as rspamd asks (clamd(8), INSTREAM)."""
    return clamd.run(PYTHON, "-c", SCAN, stdin=base64.b64encode(content).decode()).strip()


class TestScan:
    def test_a_virus_is_found_by_its_name_and_nothing_else_is(self, own: Path) -> None:
        """As it is, in base64 as an attachment; and not when a character is another one."""
        with clamav(own, *OFFLINE) as clamd:
            clamd.wait_healthy()
            found = f"stream: {EICAR_NAME}.UNOFFICIAL FOUND"
            assert scan(clamd, VIRUS) == found
            assert scan(clamd, mail_with(VIRUS)) == found
            assert scan(clamd, mail_with(VIRUS.replace(b"EICAR", b"RACIE"))) == "stream: OK"
            told = [line for line in clamd.logs().splitlines() if "FOUND" in line]
            assert len(told) == 2
            assert all("warn" in line and EICAR_NAME in line for line in told)

    def test_a_message_of_the_size_that_exim_takes_is_scanned_to_its_end(self, own: Path) -> None:
        with clamav(own, *OFFLINE, MESSAGE_SIZE_LIMIT="2M") as clamd:
            clamd.wait_healthy()
            assert "FOUND" in scan(clamd, b"x" * (2 * 1024**2) + VIRUS)
            assert "size limit exceeded" in scan(clamd, b"x" * (4 * 1024**2))

    def test_a_killed_clamd_is_back(self, own: Path) -> None:
        with clamav(own, *OFFLINE) as clamd:
            clamd.wait_healthy()
            before = clamd.pid_of("clamd")
            clamd.run("kill", "-9", str(before))
            wait_until(lambda: clamd.pid_of("clamd") not in {0, before}, 20, "clamd runs again")
            wait_until(lambda: "clamd ok" in clamd.run("entrypoint", "health", check=False), 20, "clamd answers")
            assert "FOUND" in scan(clamd, VIRUS)
            assert clamd.stop()[0] == 0


def mail_with(attachment: bytes) -> bytes:
    head = 'MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
    part = "Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return f"{head}{part}{base64.encodebytes(attachment).decode()}\r\n--b--\r\n".encode()


def test_switched_off_nothing_runs_and_that_is_well() -> None:
    with clamav(None, *OFFLINE, ENABLE_CLAMAV="no") as off:
        off.wait_healthy()
        assert off.run("entrypoint", "health") == "healthy: nothing to run\n"
        assert "clamd" not in off.run("entrypoint", "status")
        assert "programs=nothing" in off.logs()
        assert off.stop()[0] == 0


class TestOwnSignatures:
    def test_new_ones_are_taken_over_and_bad_ones_are_not(self, own: Path) -> None:
        """Within seconds, without a restart; a bad file changes nothing, and health says so."""
        with clamav(own, *OFFLINE) as clamd:
            clamd.wait_healthy()
            before = clamd.pid_of("clamd")
            assert scan(clamd, b"the second rule") == "stream: OK"
            write(own / "two.ndb", signature("Two", "second rule"))
            wait_until(lambda: "Own.Two" in scan(clamd, b"the second rule"), 30, "the new signature counts")
            write(own / "two.ndb", "nonsense\n")
            wait_until(lambda: "cannot load two.ndb" in clamd.run("entrypoint", "health"), 30, "health warns")
            assert "reload refused" in clamd.logs()
            # What the updates do in the meantime leaves the last good one in place, too.
            update = clamd.run(PYTHON, "-m", "entrypoint.signatures", "update", "own", check=False)
            assert "cannot load two.ndb (CLAMAV_SIGNATURES_DIR): Problem parsing database at line 1" in update
            assert "the one before stays" in update
            assert "Own.Two" in scan(clamd, b"the second rule")
            (own / "two.ndb").unlink()
            wait_until(lambda: scan(clamd, b"the second rule") == "stream: OK", 30, "what was taken away is gone")
            assert "FOUND" in scan(clamd, VIRUS)
            assert clamd.pid_of("clamd") == before

    @pytest.mark.parametrize(
        ("name", "text", "words"),
        [
            (
                "bad.ndb",
                "nonsense\n",
                "cannot load bad.ndb (CLAMAV_SIGNATURES_DIR): Problem parsing database at line 1",
            ),
            ("bad.yara", "rule {", "cannot load bad.yara (CLAMAV_SIGNATURES_DIR): yyerror()"),
            ("rules.txt", "", "cannot take rules.txt"),
            ("closed.ndb", "", "permission denied; make it readable for group 0"),
        ],
    )
    def test_no_start_with_a_bad_one(self, own: Path, name: str, text: str, words: str) -> None:
        write(own / name, text)
        if name.startswith("closed"):
            (own / name).chmod(0o600)
        # Group 0 may read what is root's group's; nobody but root what is only root's.
        with clamav(own, *OFFLINE) as clamd:
            assert clamd.wait_end() == 78
            assert words in clamd.logs()

    def test_no_start_where_there_can_never_be_any(self) -> None:
        with clamav(None, *OFFLINE) as clamd:
            assert clamd.wait_end() == 78
            assert "FRESHCLAM_MIRROR is none, FRESHCLAM_URLS is empty" in clamd.logs()


@contextmanager
def mirror(net: str, folder: Path) -> Iterator[Container]:
    """A web server with the folder's files."""
    options = (
        f"--network={net}",
        f"--ip={NET}.80",
        "--entrypoint=python3",
        f"--volume={folder}:/www:ro",
    )
    with container("clamav", "-m", "http.server", "--directory=/www", "8080", options=options) as server:
        yield server


@pytest.fixture
def net() -> Iterator[str]:
    with network(f"{NET}.0/24") as name:
        yield name


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """What the mirror has."""
    folder = tmp_path / "www"
    folder.mkdir()
    folder.chmod(0o755)
    write(folder / "more.ndb", signature("More", "third rule"))
    return folder


def renew(path: Path, text: str, age_s: int) -> None:
    """Another file, so much younger than now: freshclam and the server compare whole seconds."""
    write(path, text)
    now = time.time()
    os.utime(path, (now + age_s, now + age_s))


def update(clamd: Container) -> str:
    """What the job freshclam does now and then."""
    return clamd.run(PYTHON, "-m", "entrypoint.signatures", "update", "download", check=False)


class TestFreshclam:
    def test_without_signatures_it_waits_for_them_and_then_keeps_them_new(self, net: str, files: Path) -> None:
        """Not ready and alive while the mirror is away; no restart. Later, what is no good is not taken."""
        with clamav(None, f"--network={net}", FRESHCLAM_URLS=f"{MIRROR}/more.ndb") as clamd:
            wait_until(lambda: "the next try is in 15 s" in clamd.logs(), 40, "the mirror is away")
            assert "clamd is waiting" in clamd.run("entrypoint", "health", "--ready", check=False)
            assert clamd.run("entrypoint", "health", "--live").startswith("alive: ")
            with mirror(net, files):
                clamd.wait_healthy()
                assert clamd.state()["Running"]
                assert clamd.logs().count("supervising") == 1
                assert "Own.More" in scan(clamd, b"the third rule")
                renew(files / "more.ndb", "nonsense\n", 60)
                # The job itself may be quicker than we are.
                assert "Database test FAILED" in update(clamd) + clamd.logs()
                assert "Own.More" in scan(clamd, b"the third rule")
                renew(files / "more.ndb", signature("Newer", "third rule"), 120)
                update(clamd)
                wait_until(lambda: "Own.Newer" in scan(clamd, b"the third rule"), 20, "clamd has loaded them")
                assert "Database correctly reloaded" in clamd.logs()

    def test_a_private_mirror_is_asked_and_not_believed_without_a_signature(
        self, net: str, files: Path, own: Path
    ) -> None:
        """Official databases are signed: one that is not is left, and what is there goes on."""
        header = f"ClamAV-VDB:25 Nov 2026 09-33 +0000:27000:1:90:{'0' * 32}:x:postern:1764063180"
        write(files / "daily.cvd", header.ljust(512) + "nothing")
        with mirror(net, files) as server, clamav(own, f"--network={net}", FRESHCLAM_MIRROR=MIRROR) as clamd:
            clamd.wait_healthy()
            said = update(clamd)
            assert "daily database available for download (remote version: 27000)" in said
            assert "Can't verify database integrity" in said
            assert "GET /daily.cvd" in server.logs()
            assert clamd.run("ls", LIBRARY).split() == ["freshclam.dat", "own-eicar.ndb"]
            assert "FOUND" in scan(clamd, VIRUS)
            assert "there is no daily.cvd or daily.cld" in clamd.run("entrypoint", "health", "--deep", check=False)

    def test_a_damaged_database_is_put_aside(self, own: Path, tmp_path: Path) -> None:
        """It would keep clamd from starting, for ever."""
        volume = tmp_path / "library"
        volume.mkdir()
        volume.chmod(0o770)
        write(volume / "daily.cvd", "ClamAV-VDB:25 Nov")
        with clamav(own, *OFFLINE, f"--volume={volume}:{LIBRARY}") as clamd:
            clamd.wait_healthy()
            assert "daily.cvd is damaged" in clamd.logs()
            assert "FOUND" in scan(clamd, VIRUS)
        assert (volume / "daily.cvd.damaged").exists()


@pytest.mark.parametrize(("value", "least", "most"), [("yes", 1.5, 3.0), ("no", 0.0, 1.3)])
def test_signatures_are_reloaded_with_and_without_a_second_set_in_memory(
    own: Path, value: str, least: float, most: float
) -> None:
    """The peak of memory beside what clamd takes at rest; scanning goes on afterwards, and at once."""
    many = random.Random(1)  # no secret
    write(own / "many.ndb", "".join(SIGNATURE.format(i, many.randbytes(24).hex()) for i in range(150_000)))
    with clamav(own, *OFFLINE, CLAMAV_CONCURRENT_RELOAD=value) as clamd:
        clamd.wait_healthy()
        assert scan(clamd, b"the second rule") == "stream: OK"
        before = peak_kib(clamd)
        write(own / "two.ndb", signature("Two", "second rule"))
        wait_until(lambda: "Own.Two" in scan(clamd, b"the second rule"), 30, "the new signature counts")
        assert "FOUND" in scan(clamd, VIRUS)
        assert least < peak_kib(clamd) / before < most


def peak_kib(clamd: Container) -> int:
    """The most memory that clamd has taken so far."""
    status = clamd.run("cat", f"/proc/{clamd.pid_of('clamd')}/status")
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))
