"""debian:trixie-slim in the engine: from the registry, or made here where none can be reached.

What is made here is the same release from the same archive with the same signatures (debootstrap verifies them); it
lacks only the registry image's removal of manual pages and the like.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.commands import ask, work
from tools.console import Step, ToolError
from tools.machine import apt, engine

IMAGE = "debian:trixie-slim"
RELEASE = "trixie"
PULL_S = 60.0

HELP = (
    f"The image {IMAGE} is needed: docker pull {IMAGE}, or docker load it from a file.",
    "On Debian, root can make it without a registry: apt-get install debootstrap, then tools/setup base",
)
# Not needed in a container, or out of date in a day.
UNWANTED = (
    "var/lib/apt/lists/*",
    "var/cache/apt/*",
    "var/cache/debconf/*-old",
    "var/log/*.log",
    "var/log/apt/*",
    "usr/share/doc/*/changelog*",
    "usr/share/man/*",
    "usr/share/info/*",
    "usr/share/locale/*",
)


def set_up(step: Step) -> None:
    """Make the image known to the engine."""
    if ask("docker", "image", "inspect", "--format", "{{.Id}}", IMAGE):
        step.outcome = f"ok: {IMAGE}"
        return
    if not engine.server_version():
        raise ToolError(f"cannot get {IMAGE}: no container engine answers", "Run `tools/setup engine` first.")
    step.say(f"pulling {IMAGE}")
    if ask("docker", "pull", "--quiet", IMAGE, timeout_s=PULL_S) is not None:
        step.done(f"pulled {IMAGE}")
        return
    step.say("no registry answers: making it with debootstrap")
    try:
        make(step)
    except ToolError as error:
        raise ToolError(str(error), *error.help_lines, *HELP) from error
    step.done(f"made {IMAGE}")


def make(step: Step) -> None:
    """Make the image from this machine's Debian mirror."""
    sources = apt.sources_of(RELEASE)
    if os.geteuid() != 0:
        raise ToolError("cannot run debootstrap: not root")
    if not shutil.which("debootstrap"):
        apt.install(["debootstrap"], step.say)
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        tree = Path(name) / RELEASE
        bootstrap = ["debootstrap", "--variant=minbase", f"--keyring={apt.KEYRING}", RELEASE, str(tree), sources[0].uri]
        work(bootstrap, log="debootstrap", say=step.say)
        write_apt_settings(tree, sources)
        upgrade(tree, step)
        trim(tree)
        import_image(tree, step)


def write_apt_settings(tree: Path, sources: list[apt.Source]) -> None:
    """Debian's updates and security suites too, and no caches in layers (as the registry's image has it)."""
    (tree / "etc/apt/sources.list").write_text("".join(f"{source}\n" for source in sources))
    (tree / "etc/apt/apt.conf.d/docker-clean").write_text(
        'Dir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";\n'
        'DPkg::Post-Invoke { "rm -f /var/cache/apt/archives/*.deb || true"; };\n'
        'Acquire::Languages "none";\n'
        'Apt::AutoRemove::SuggestsImportant "false";\n'
    )
    (tree / "etc/dpkg/dpkg.cfg.d/docker").write_text(
        "force-unsafe-io\n"
        "path-exclude /usr/share/doc/*\n"
        "path-include /usr/share/doc/*/copyright\n"
        "path-exclude /usr/share/man/*\n"
        "path-exclude /usr/share/locale/*\n"
    )
    # Daemons are started by entrypoint, never by a package's installation (Debian policy 9.3.3.2).
    policy = tree / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n")
    policy.chmod(0o755)


def upgrade(tree: Path, step: Step) -> None:
    """Bring the tree up to date: debootstrap knows the main suite only."""
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    for verb in (["update"], ["upgrade", "-y"]):
        work(["chroot", str(tree), "apt-get", *verb], log="debootstrap", say=step.say, env=quiet)


def trim(tree: Path) -> None:
    """Remove what only makes the image larger."""
    for pattern in UNWANTED:
        for path in tree.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()


def import_image(tree: Path, step: Step) -> None:
    """Give the tree to the engine as one layer, without a copy on the disk in between."""
    command = ["tar", "--numeric-owner", "--exclude=./dev/*", "-C", str(tree), "-c", "."]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as tar:
        done = subprocess.run(
            ["docker", "import", "--change", 'CMD ["bash"]', "-", IMAGE],
            stdin=tar.stdout,
            capture_output=True,
            text=True,
            check=False,
        )
    if tar.returncode or done.returncode:
        raise ToolError(f"cannot import {IMAGE}: {done.stderr.strip() or 'tar failed'}")
    step.say("imported")
