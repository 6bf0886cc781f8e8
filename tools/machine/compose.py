"""Compose v2 as a plugin of the docker command line, for machines whose distribution has none.

Debian 13's package needs nothing but libc and runs on Debian 12 as well, so that its one file is enough. It is not
installed as a package: that would drag this machine towards the other release.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

from tools.commands import ask, work
from tools.console import Step, ToolError
from tools.machine import apt

PACKAGE = "docker-compose"
RELEASE = "trixie"
OLDEST = (2, 20)
PLUGIN_IN_PACKAGE = Path("usr/libexec/docker/cli-plugins/docker-compose")

HELP = (
    f"Compose from version {OLDEST[0]}.{OLDEST[1]} on is needed, as a plugin: `docker compose version` has to answer.",
    "Debian 13: apt-get install docker-compose; elsewhere: https://docs.docker.com/compose/install/linux/",
)


def set_up(step: Step) -> None:
    """Make `docker compose` answer, in a version that knows what our compose file says."""
    version = ask("docker", "compose", "version", "--short") or ""
    if new_enough(version):
        step.outcome = f"ok: Compose {version}"
        return
    if not shutil.which("docker"):
        raise ToolError("cannot add Compose: there is no docker command", "Run `tools/setup engine` first.")
    step.say(f"fetching {PACKAGE} from Debian {RELEASE} as a plugin")
    try:
        install_plugin(step)
    except ToolError as error:
        raise ToolError(str(error), *error.help_lines, *HELP) from error
    version = ask("docker", "compose", "version", "--short") or ""
    if not new_enough(version):
        raise ToolError(f"cannot use the plugin in {plugin_folder()}: it does not run here", *HELP)
    step.done(f"Compose {version} in {plugin_folder()}")


def install_plugin(step: Step) -> None:
    """Download the package, verified by apt, and take the plugin out of it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        package = apt.download(PACKAGE, apt.sources_of(RELEASE), folder, step.say)
        work(["dpkg-deb", "--extract", str(package), str(folder / "tree")], log="compose", say=step.say)
        place(folder / "tree" / PLUGIN_IN_PACKAGE, plugin_folder() / "docker-compose")


def place(plugin: Path, target: Path) -> None:
    """Copy the plugin; it appears complete or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = target.with_suffix(".new")
    shutil.copyfile(plugin, beside)
    beside.chmod(0o755)
    beside.replace(target)


def plugin_folder() -> Path:
    """Where every docker command line looks for plugins: for the whole machine as root, else for this user."""
    if os.geteuid() == 0:
        return Path("/usr/local/lib/docker/cli-plugins")
    return Path.home() / ".docker" / "cli-plugins"


def new_enough(version: str) -> bool:
    """Whether this is a version of Compose that will do: `2.26.1-4` is, `1.29.2` and nothing are not."""
    match = re.match(r"v?(\d+)\.(\d+)", version)
    return match is not None and (int(match[1]), int(match[2])) >= OLDEST
