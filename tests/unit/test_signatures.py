"""The virus scanner's signatures, own and fetched, without the programs that read them: tests/image has these."""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path

import pytest

from entrypoint import signatures
from entrypoint.errors import CheckError
from entrypoint.signatures import Library, main

RULE = "Own.Rule:0:*:41424344\n"
SH = ("/bin/sh", "-c")
NOTHING_TO_FETCH = "true"
# In clamscan's place: what has "nonsense" in it is no good.
TRIAL = 'grep -q nonsense "${0#*=}" || exit 0; echo "ERROR: Malformed database"; exit 2'


@pytest.fixture
def library(tmp_path: Path) -> Library:
    """Two empty folders, and a command instead of freshclam that finds nothing new."""
    (tmp_path / "library").mkdir()
    (tmp_path / "own").mkdir()
    return made(tmp_path, NOTHING_TO_FETCH)


def made(folder: Path, script: str) -> Library:
    fetch = (*SH, f"cd {folder}/library && {{ {script}; }}")
    return Library(folder=folder / "library", own=folder / "own", fetch=fetch, trial=(*SH, TRIAL), port=unused_port())


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
        return port


class TestOwnFiles:
    def test_they_are_copied_and_their_copies_go_with_them(self, library: Library) -> None:
        (library.own / "a.ndb").write_text(RULE)
        (library.own / ".a.ndb.swp").write_text("of an editor")
        (library.folder / "daily.cvd").write_text("official")
        library.take_over_own()
        assert {path.name for path in library.folder.iterdir()} == {"own-a.ndb", "daily.cvd"}
        assert (library.folder / "own-a.ndb").read_text() == RULE
        (library.own / "a.ndb").rename(library.own / "b.ndb")
        library.take_over_own()
        assert {path.name for path in library.folder.iterdir()} == {"own-b.ndb", "daily.cvd"}

    def test_one_that_is_no_good_leaves_the_copy_as_it_was(
        self, library: Library, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (library.own / "a.ndb").write_text(RULE)
        assert not library.take_over_own()
        (library.own / "a.ndb").write_text("nonsense\n")
        (library.own / "b.ndb").write_text("nonsense\n")
        (library.own / "c.ndb").write_text(RULE)
        assert library.take_over_own()
        assert {path.name: path.read_text() for path in library.folder.iterdir()} == {
            "own-a.ndb": RULE,
            "own-c.ndb": RULE,
        }
        said = capsys.readouterr().out
        assert "cannot load a.ndb (CLAMAV_SIGNATURES_DIR): Malformed database; the one before stays" in said
        assert "cannot load b.ndb (CLAMAV_SIGNATURES_DIR): Malformed database; it is not used" in said
        with pytest.raises(CheckError, match=r"cannot load a\.ndb"):
            library.check()

    def test_what_has_not_changed_is_left_alone(self, library: Library, capsys: pytest.CaptureFixture[str]) -> None:
        (library.own / "a.ndb").write_text(RULE)
        library.take_over_own()
        before = library.contents()
        assert capsys.readouterr().out == "a.ndb is taken over\n"
        library.take_over_own()
        assert library.contents() == before
        assert not capsys.readouterr().out

    def test_a_folder_that_is_not_there_has_none(self, library: Library) -> None:
        library.own.rmdir()
        assert library.own_files() == []
        library.check()

    def test_an_unknown_ending_is_refused(self, library: Library) -> None:
        (library.own / "rules.txt").write_text(RULE)
        with pytest.raises(CheckError, match=r"rules\.txt .* clamd knows files by their endings, such as \.ndb"):
            library.check()

    @pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
    def test_one_that_cannot_be_read_is_refused(self, library: Library) -> None:
        (library.own / "a.ndb").write_text(RULE)
        (library.own / "a.ndb").chmod(0)
        with pytest.raises(CheckError, match="permission denied; make it readable for group 0"):
            library.check()

    def test_where_nothing_can_ever_be_found_is_refused(self, library: Library, tmp_path: Path) -> None:
        alone = Library(folder=library.folder, own=tmp_path / "own", fetch=(), trial=library.trial)
        with pytest.raises(CheckError, match=r"FRESHCLAM_MIRROR is none, .* ENABLE_CLAMAV=no"):
            alone.check()
        (library.folder / "left.ndb").write_text(RULE)
        alone.check()


class TestFirst:
    def test_it_is_over_at_once_when_there_are_some(self, library: Library, tmp_path: Path) -> None:
        (library.own / "a.ndb").write_text(RULE)
        made(tmp_path, "touch fetched").first()
        assert not (library.folder / "fetched").exists()

    def test_it_goes_on_until_there_are_some(
        self, tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Nothing at the first and the second try, a file at the third; each pause is longer."""
        monkeypatch.setattr(signatures, "PAUSE_S", 0.01)
        script = "echo try >>tries; test $(wc -l <tries) = 3 && echo rule >daily.ndb || exit 11"
        made(tmp_path, script).first()
        assert (library.folder / "daily.ndb").exists()
        said = capsys.readouterr().out
        assert said.count("mail that is to be scanned has to wait") == 3
        assert "(freshclam ended with 11); the next try is in 0.01 s" in said
        assert "the next try is in 0.02 s" in said

    def test_how_far_a_download_is_is_told(
        self, tmp_path: Path, library: Library, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(signatures, "PROGRESS_S", 0.05)
        part = "mkdir tmp.1; head -c 3145728 /dev/zero >tmp.1/part; mkfifo go; read -r _ <go; echo rule >daily.ndb"
        loading = made(tmp_path, part)
        thread = threading.Thread(target=loading.first)
        thread.start()
        said = ""
        end = time.monotonic() + 20
        while "downloading: 3.0 MiB after 0 s" not in said:
            said += capsys.readouterr().out
            assert time.monotonic() < end, said
        (library.folder / "go").write_text("\n")
        thread.join(20)
        assert not thread.is_alive()


class TestUpdate:
    def test_clamd_is_told_of_what_is_new_and_only_then(
        self, tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            told: list[bytes] = []

            def answer() -> None:
                with server.accept()[0] as connection:
                    told.append(connection.recv(100))
                    connection.sendall(b"RELOADING\n")

            thread = threading.Thread(target=answer, daemon=True)
            thread.start()
            port = server.getsockname()[1]
            fetch = made(tmp_path, "test -e daily.ndb || echo rule >daily.ndb").fetch
            new = Library(folder=library.folder, own=library.own, fetch=fetch, port=port)
            assert new.update() == 0
            thread.join(20)
            assert told == [b"nRELOAD\n"]
            assert capsys.readouterr().out == "clamd says: RELOADING\n"
            assert new.update() == 0  # would wait for an answer that nobody gives
        assert not capsys.readouterr().out

    def test_the_code_is_freshclams_and_own_files_come_nevertheless(
        self, tmp_path: Path, library: Library, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (library.own / "a.ndb").write_text(RULE)
        assert made(tmp_path, "exit 11").update() == 11
        assert (library.folder / "own-a.ndb").exists()
        assert "clamd cannot be told: " in capsys.readouterr().out


def test_the_command_line(library: Library, capsys: pytest.CaptureFixture[str]) -> None:
    assert main("check", "download", library) == 0
    assert main("update", "download", library) == 0
    (library.own / "rules.txt").touch()
    assert main("check", "download", library) == 78
    assert capsys.readouterr().out.startswith("cannot take rules.txt")
    assert main("update", "download", library) == 78
    assert capsys.readouterr().out.startswith("ERROR: cannot take rules.txt")
    with pytest.raises(KeyError):
        main("no such", "download", library)
