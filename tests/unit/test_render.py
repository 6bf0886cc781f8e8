"""Templates to files: everything or nothing, always the same, and no unquoted value."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoint import render
from entrypoint.errors import RenderError
from entrypoint.plan import SECRETS_DIR
from entrypoint.render import render_tree, write_tree
from entrypoint.service import Service
from entrypoint.settings import Secret, concern, read
from entrypoint.settings import kinds as k
from entrypoint.settings.concerns import Common
from entrypoint.settings.schema import var

HOSTILE = 'a"b\\c%{x}'


@concern
class Settings(Common):
    """What the service of these tests is told."""

    note: str = var(k.text, "a note", default=HOSTILE)
    count: int = var(k.integer(0, 9), "a count", default="3")
    switch: bool = var(k.boolean, "a switch", default="no")
    password: Secret = var(k.text, "a password", secret=True)


SETTINGS = read({"DOMAIN": "example.org", "PASSWORD": "s3cr3t"}, Settings).settings


def service(**functions: Any) -> Service[Settings]:
    return Service(
        name="sample",
        image="sample",
        settings=Settings,
        programs=lambda _settings: (),
        probes=lambda _settings: (),
        **functions,
    )


Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Makes the image's templates of names and texts."""
    root = tmp_path / "install"
    monkeypatch.setattr(render, "_ROOTS", (root,))

    def write(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = root / "sample" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return root / "sample"

    return write


def rendered(template: str, install: Install, **functions: Any) -> str:
    install({"run/config/x.conf.j2": template})
    return render_tree(service(**functions), SETTINGS)[Path("/run/config/x.conf")]


class TestTree:
    def test_what_lies_below_run_has_the_same_path_without_j2(self, install: Install) -> None:
        install({"run/config/a.conf.j2": "{{ count }}\n", "run/b/plain": "{{ no template }}\n", "etc/c.j2": "c"})
        assert render_tree(service(), SETTINGS) == {
            Path("/run/config/a.conf"): "3\n",
            Path("/run/b/plain"): "{{ no template }}\n",
        }

    def test_parts_are_included_and_not_written(self, install: Install) -> None:
        install(
            {
                "run/_shared/part.j2": "count = {{ count }}\n",
                "run/_one.j2": "one\n",
                "run/a.j2": '{% include "run/_shared/part.j2" %}{% include "run/_one.j2" %}',
            }
        )
        assert render_tree(service(), SETTINGS) == {Path("/run/a"): "count = 3\none\n"}

    def test_a_service_has_its_own_files_beside_the_images(self, install: Install) -> None:
        install({"run/a.j2": "shared", "sample/run/b.j2": "own", "other/run/c.j2": "another's"})
        assert render_tree(service(), SETTINGS) == {Path("/run/a"): "shared", Path("/run/b"): "own"}

    def test_secrets_are_files(self, install: Install) -> None:
        install({"run/a": ""})
        files = render_tree(service(secrets=lambda s: {"password": s.password}), SETTINGS)
        assert files[SECRETS_DIR / "password"] == "s3cr3t"

    def test_the_same_settings_give_the_same_files(self, install: Install) -> None:
        install({f"run/{name}.j2": "{{ note | exim }}" for name in "zab"})
        first, second = (render_tree(service(), SETTINGS) for _ in range(2))
        assert list(first.items()) == list(second.items())

    def test_missing_templates_are_an_error(self, install: Install) -> None:
        del install
        with pytest.raises(RenderError, match="cannot find the templates of the image sample: not in "):
            render_tree(service(), SETTINGS)


class TestValues:
    @pytest.mark.parametrize(
        ("template", "text"),
        [
            ("{{ note | dovecot }}", '"a\\"b\\\\c%%{x}"'),
            ("{{ note | exim }}", "a\\x22b\\x5cc%\\x7bx\\x7d"),
            ("{{ password | redis }}", '"s3cr3t"'),
            ("{{ count }} {{ 1.5 }}", "3 1.5"),
            ("{% if switch %}on{% else %}off{% endif %}", "off"),
            ("{{ service | exim }} {{ extra }}", "sample 7"),
            ("{# why #}a\n", "a\n"),
            ("{% if count %}\n  b\n{% endif %}\n", "  b\n"),
            ("end without a line", "end without a line"),
        ],
    )
    def test_printed(self, template: str, text: str, install: Install) -> None:
        assert rendered(template, install, context=lambda _settings: {"extra": 7}) == text

    @pytest.mark.parametrize(
        ("template", "reason"),
        [
            ("{{ note }}", "a str went through no quoting filter"),
            ("{{ 'text' }}", "a str went through no quoting filter"),
            ("{{ password }}", "a Secret went through no quoting filter"),
            ("{{ switch }}", "a bool went through no quoting filter"),
            ("{{ note | exim ~ note }}", "a str went through no quoting filter"),
            ("{{ note | exim | upper }}", "a str went through no quoting filter"),
            ("{{ none }}", "a NoneType went through no quoting filter"),
            ("{{ switch | exim }}", "cannot print False as a text"),
            ("{{ unknown | exim }}", "'unknown' is undefined"),
            ("{{ unknown }}", "'unknown' is undefined"),
            ("{% if unknown %}{% endif %}", "'unknown' is undefined"),
            ("{{ note.unknown | exim }}", "'str object' has no attribute 'unknown'"),
        ],
    )
    def test_refused_with_file_and_line(self, template: str, reason: str, install: Install) -> None:
        with pytest.raises(RenderError) as refused:
            rendered(f"one\ntwo\n{template}\n", install)
        assert str(refused.value) == f"cannot render sample/run/config/x.conf.j2, line 3: {reason}"

    @pytest.mark.parametrize("template", ["{% if %}", "{{ note | nofilter }}", "{% include 'run/none.j2' %}"])
    def test_a_broken_template_is_named(self, template: str, install: Install) -> None:
        with pytest.raises(RenderError, match=r"^cannot render .*x\.conf\.j2, line 2: "):
            rendered(f"\n{template}", install)

    def test_an_included_file_is_named_with_its_own_line(self, install: Install) -> None:
        install({"run/_part.j2": "\n\n{{ note }}"})
        with pytest.raises(RenderError, match=r"^cannot render sample/run/_part\.j2, line 3: "):
            rendered('{% include "run/_part.j2" %}', install)

    def test_no_error_shows_a_secret(self, install: Install) -> None:
        with pytest.raises(RenderError) as refused:
            rendered("{{ password | dnsmasq }}{{ password | plain }}{{ password }}", install)
        assert "s3cr3t" not in str(refused.value)

    def test_a_file_that_is_no_text_is_refused(self, install: Install) -> None:
        (install({"run/a": ""}) / "run/a").write_bytes(b"\xff")
        with pytest.raises(RenderError, match="cannot render run/a: "):
            render_tree(service(), SETTINGS)


class TestWriting:
    def test_files_are_for_their_owner_only_whatever_the_umask(self, tmp_path: Path) -> None:
        before = os.umask(0)
        try:
            write_tree({Path("/run/config/a"): "x"}, tmp_path)
        finally:
            os.umask(before)
        assert stat.S_IMODE((tmp_path / "run/config/a").stat().st_mode) == 0o600

    def test_nothing_else_is_left(self, tmp_path: Path) -> None:
        for text in ("one", "two"):
            write_tree({Path("/run/a"): text}, tmp_path)
        assert [path.name for path in (tmp_path / "run").iterdir()] == ["a"]
        assert (tmp_path / "run/a").read_text() == "two"

    def test_nothing_is_written_when_a_template_is_refused(self, install: Install, tmp_path: Path) -> None:
        install({"run/a.j2": "good", "run/z.j2": "{{ note }}"})
        with pytest.raises(RenderError):
            write_tree(render_tree(service(), SETTINGS), tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_file_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "run").write_text("a file, where a folder should be")
        with pytest.raises(RenderError, match=r"cannot write .*/run/a: Not a directory|File exists"):
            write_tree({Path("/run/a"): "x"}, tmp_path)
