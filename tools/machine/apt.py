"""Debian's package manager: install here, and look into another Debian release without touching this machine.

The addresses of the mirrors are the machine's own; none is written down in this repository.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from tools.commands import ask, work
from tools.console import ToolError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
TARGET_FORMAT = "$(REPO_URI)\t$(RELEASE)\t$(COMPONENT)\t$(ORIGIN)"
# apt leaves a field's name in place where it has no value: before the first update it does not know the origin.
NO_ORIGIN = "$(ORIGIN)"


@dataclass(frozen=True)
class Source:
    """One line of apt's sources: a mirror and one of its suites (`trixie`, `trixie-updates`, `trixie-security`)."""

    uri: str
    suite: str

    def __str__(self) -> str:
        return f"deb [signed-by={KEYRING}] {self.uri} {self.suite} main"


def debian_release() -> str | None:
    """This machine's Debian codename; None on any other system."""
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return None
    values = dict(line.split("=", 1) for line in lines if "=" in line)
    return values.get("VERSION_CODENAME") if values.get("ID") == "debian" else None


def sources_of(release: str) -> list[Source]:
    """The sources of another Debian release, from this machine's mirrors; ToolError where that cannot work."""
    here = debian_release()
    if not here or not shutil.which("apt-get"):
        raise ToolError("cannot find Debian's mirrors: this machine is not Debian")
    targets = ask("apt-get", "indextargets", "--format", TARGET_FORMAT, "Created-By: Packages") or ""
    found = derive_sources(targets.splitlines(), here, release)
    if not found:
        raise ToolError(f"cannot find Debian's mirrors: apt has no source for {here} main; see sources.list(5)")
    return found


def derive_sources(targets: Iterable[str], here: str, release: str) -> list[Source]:
    """What apt has for the release `here`, said of `release`: the first mirror of each suite, the main one first.

    `targets` are lines in TARGET_FORMAT. Without a main suite the others are useless: then the list is empty.
    """
    wanted = {f"{here}{kind}": f"{release}{kind}" for kind in ("", "-updates", "-security")}
    mirrors: dict[str, str] = {}
    for target in targets:
        uri, suite, component, origin = target.split("\t")
        if suite in wanted and component == "main" and origin in ("Debian", NO_ORIGIN):
            mirrors.setdefault(wanted[suite], uri)
    if release not in mirrors:
        return []
    return [Source(mirrors[suite], suite) for suite in wanted.values() if suite in mirrors]


def download(package: str, sources: list[Source], folder: Path, say: Callable[[str], None]) -> Path:
    """The package's file, fetched from these sources into the folder; apt has verified signature and checksum.

    All of apt's state is in the folder, so that this machine's own package lists stay as they are.
    """
    options = private_options(sources, folder)
    work(["apt-get", *options, "update"], log="apt-update", say=say, cwd=folder)
    work(["apt-get", *options, "download", package], log="apt-download", say=say, cwd=folder)
    files = list(folder.glob(f"{package}_*.deb"))
    if len(files) != 1:
        raise ToolError(f"cannot download {package}: apt left {len(files)} files instead of one")
    return files[0]


def private_options(sources: list[Source], folder: Path) -> list[str]:
    """Options that make apt use these sources, and this folder for everything it writes."""
    # apt fetches as the user _apt, who has to get in.
    folder.chmod(0o755)
    for name in ("lists", "cache"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "sources.list").write_text("".join(f"{source}\n" for source in sources))
    values = {
        "Dir::Etc::sourcelist": folder / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": folder / "lists",
        "Dir::Cache": folder / "cache",
        "Acquire::Languages": "none",
        # Hooks of the machine (desktop package lists and the like) are not for this private state.
        "APT::Update::Post-Invoke-Success::": "",
        "APT::Get::List-Cleanup": "false",
    }
    return [word for name, value in values.items() for word in ("-o", f"{name}={value}")]


def install(packages: list[str], say: Callable[[str], None]) -> None:
    """Install packages on this machine; ToolError, with the command to give, where that needs somebody else."""
    command = f"apt-get install {' '.join(packages)}"
    if not shutil.which("apt-get"):
        raise ToolError(f"cannot install {' '.join(packages)}: this machine has no apt-get")
    if os.geteuid() != 0:
        raise ToolError(f"cannot install {' '.join(packages)}: not root", f"As root: {command}")
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    say(f"installing {' '.join(packages)} with apt")
    work(["apt-get", "update"], log="apt-update", say=say, env=quiet)
    known = [name for name in packages if candidate(name)]
    work(["apt-get", "install", "-y", "--no-install-recommends", *known], log="apt-install", say=say, env=quiet)


def candidate(package: str) -> bool:
    """Whether apt could install this package: some exist in one release only."""
    policy = ask("apt-cache", "policy", package) or ""
    return "Candidate:" in policy and "Candidate: (none)" not in policy
