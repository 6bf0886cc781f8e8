"""The package as pip installs it: with its templates, and of use on a host that has nothing else."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENV = """DOMAIN=example.org
REDIS_PASSWORD=s3cr3t
"""

Entrypoint = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def entrypoint(tmp_path_factory: pytest.TempPathFactory) -> Entrypoint:
    """The command in an environment of its own, which has the wheel and, by a path, its dependencies. No docker."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    venv.create(folder / "venv", symlinks=True)
    (packages,) = (folder / "venv/lib").glob("python*/site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    (data,) = packages.glob("*.data/data/share")
    data.rename(folder / "venv/share")
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib"))

    def run(*arguments: object, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        command = [str(folder / "venv/bin/python"), "-m", "entrypoint", *map(str, arguments)]
        env = {"PATH": "/nowhere", **variables}
        return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)

    return run


def test_a_change_is_shown_without_docker(entrypoint: Entrypoint, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(ENV + "REDIS_MAXMEMORY=300M\n")
    (tmp_path / "old.env").write_text(ENV)
    done = entrypoint("render", "mail-redis", "--diff", "old.env", cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    assert "\n-maxmemory 268435456\n+maxmemory 314572800\n" in done.stdout
    assert sorted(file.name for file in tmp_path.iterdir()) == [".env", "old.env"]


def test_a_folder_is_compared_without_docker(entrypoint: Entrypoint, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(ENV)
    assert entrypoint("render", "mail-redis", "--env-file", ".env", "--out", "out", cwd=tmp_path).returncode == 0
    done = entrypoint("render", "--diff", "out", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_an_import_needs_nothing_but_the_package(entrypoint: Entrypoint, tmp_path: Path) -> None:
    (tmp_path / "mail.env").write_text("TZ=UTC\n")
    done = entrypoint("import", "docker-mailserver", "mail.env", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "\nTZ=UTC\n" in done.stdout
