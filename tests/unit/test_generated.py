"""Passwords that services make for themselves: once, whole, the same for all, and only where none is given."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest

from entrypoint.copies import secret_files
from entrypoint.environment import Case, examine
from entrypoint.errors import CheckError, SettingsError
from entrypoint.generated import make, make_missing, wanted
from entrypoint.service import Service, find, known_variables
from entrypoint.settings import Secret, kinds, read
from entrypoint.settings.concerns import Common
from entrypoint.settings.reading import STAND_IN
from entrypoint.settings.schema import concern, var

ENV = {"DOMAIN": "example.org"}


@pytest.fixture
def service(tmp_path: Path) -> Service[Any]:
    """A service with a password that is made in a folder of the test."""

    @concern
    class Settings(Common):
        word: Secret = var(
            kinds.text, "a password", default=None, old=("OLD_WORD",), secret=True, generated=str(tmp_path)
        )

    return replace(find("mail-redis"), settings=Settings)


def word(service: Service[Any], env: dict[str, str] | None = None) -> str:
    found: str = read(ENV | (env or {}), service.settings, known=known_variables()).settings.word.reveal()
    return found


class TestMake:
    def test_it_is_long_readable_for_the_group_and_alone_in_its_folder(self, tmp_path: Path) -> None:
        make(tmp_path / "WORD")
        assert re.fullmatch(r"[A-Za-z0-9_-]{43}\n", (tmp_path / "WORD").read_text())  # 256 bits
        assert stat.S_IMODE((tmp_path / "WORD").stat().st_mode) == 0o640
        assert [path.name for path in tmp_path.iterdir()] == ["WORD"]

    def test_no_umask_changes_that(self, tmp_path: Path) -> None:
        before = os.umask(0o077)
        try:
            make(tmp_path / "WORD")
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "WORD").stat().st_mode) == 0o640

    def test_one_that_is_there_stays_and_another_place_gets_another(self, tmp_path: Path) -> None:
        for name in ("WORD", "WORD", "OTHER"):
            make(tmp_path / name)
        before = (tmp_path / "WORD").read_text()
        make(tmp_path / "WORD")
        assert (tmp_path / "WORD").read_text() == before != (tmp_path / "OTHER").read_text()

    def test_all_who_begin_at_the_same_time_agree(self, tmp_path: Path) -> None:
        many = 16
        for number in range(20):
            file, together = tmp_path / f"WORD{number}", Barrier(many)

            def make_and_read(file: Path = file, together: Barrier = together) -> str:
                together.wait()
                make(file)
                return file.read_text()

            with ThreadPoolExecutor(many) as pool:
                found = list(pool.map(lambda go: go(), [make_and_read] * many))
            assert len(set(found)) == 1
            assert len(found[0]) == 44
        assert len(list(tmp_path.iterdir())) == 20


class TestMakeMissing:
    @pytest.mark.parametrize("name", ["WORD", "WORD_FILE", "OLD_WORD", "OLD_WORD_FILE"])
    def test_what_a_person_gives_is_not_made(self, service: Service[Any], tmp_path: Path, name: str) -> None:
        given = tmp_path / "given"
        given.write_text("hers\n")
        env = {name: str(given) if name.endswith("_FILE") else "hers"}
        make_missing(service, ENV | env)
        assert wanted(service, ENV | env) == []
        assert [path.name for path in tmp_path.iterdir()] == ["given"]
        assert word(service, env) == "hers"

    @pytest.mark.parametrize("nothing", [{}, {"WORD": ""}, {"WORD": " ", "WORD_FILE": ""}])
    def test_otherwise_it_is_and_stays(self, service: Service[Any], tmp_path: Path, nothing: dict[str, str]) -> None:
        make_missing(service, ENV | nothing)
        first = word(service, nothing)
        assert first == (tmp_path / "WORD").read_text().strip()
        make_missing(service, ENV | nothing)
        assert word(service, nothing) == first

    def test_it_is_made_again_when_a_person_removes_it(self, service: Service[Any], tmp_path: Path) -> None:
        make_missing(service, ENV)
        first = word(service)
        (tmp_path / "WORD").unlink()
        make_missing(service, ENV)
        assert word(service) not in {first, STAND_IN}

    def test_mistakes_in_the_settings_come_first(self, service: Service[Any], tmp_path: Path) -> None:
        with pytest.raises(SettingsError, match="TZ got"):
            make_missing(service, ENV | {"TZ": "Nowhere"})
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_is_not_there_is_refused_with_the_cure(self, service: Service[Any], tmp_path: Path) -> None:
        tmp_path.rmdir()
        with pytest.raises(CheckError, match=r"as WORD is not set: No such file.*mount a volume at .*or WORD_FILE"):
            make_missing(service, ENV)

    def test_it_is_watched_like_a_secret_of_a_person(self, service: Service[Any], tmp_path: Path) -> None:
        assert secret_files(service, ENV) == [str(tmp_path / "WORD")]
        assert secret_files(service, ENV | {"WORD": "hers"}) == []
        assert secret_files(service, ENV | {"WORD_FILE": "/run/secrets/WORD"}) == ["/run/secrets/WORD"]


class TestReading:
    def test_on_the_host_a_text_stands_for_it_and_nothing_is_made(self, service: Service[Any], tmp_path: Path) -> None:
        assert examine(Case(ENV, (service,))) == []
        assert word(service) == STAND_IN
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("damage", "why"),
        [
            (lambda file: file.write_text(""), "which is empty"),
            (lambda file: file.write_bytes(b"\xff"), "which is not UTF-8 text"),
            (lambda file: (file.unlink(), file.mkdir()), "which cannot be read: Is a directory"),
        ],
    )
    def test_a_damaged_file_is_named(
        self, service: Service[Any], tmp_path: Path, damage: Callable[[Path], object], why: str
    ) -> None:
        make_missing(service, ENV)
        damage(tmp_path / "WORD")
        with pytest.raises(SettingsError) as refused:
            word(service)
        assert refused.value.mistakes == [f"WORD is not set, and kept in {tmp_path / 'WORD'}, {why}"]
