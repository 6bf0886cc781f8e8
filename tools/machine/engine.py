"""A container engine that answers: the one that runs, the one that is installed, or Debian's docker.io."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import time
from pathlib import Path

from tools.commands import ask, tail, work
from tools.console import Step, ToolError
from tools.machine import apt

SOCKET = Path("/var/run/docker.sock")
LOG = Path("/var/log/dockerd.log")
READY_S = 60.0

# The second try is for file systems on which overlayfs does not work (another overlay, for one): slower, always works.
STORAGE_TRIES: tuple[tuple[str, ...], ...] = ((), ("--storage-driver=vfs",))

HELP = (
    "A running Docker engine from version 20.10 on is needed, and the right to use it.",
    "Debian: apt-get install docker.io; elsewhere: https://docs.docker.com/engine/install/",
)


def set_up(step: Step) -> None:
    """Make `docker` answer."""
    version = server_version()
    if version:
        step.outcome = f"ok: Docker {version}"
        return
    require_permission()
    if not shutil.which("dockerd"):
        # docker-cli is a package of its own from Debian 13 on.
        apt.install(["docker.io", "docker-cli"], step.say)
    if not server_version():
        start(step)
    step.done(f"Docker {server_version()} with {storage_driver()}")


def server_version() -> str | None:
    """The version of the engine that answers; None when none does."""
    return ask("docker", "version", "--format", "{{.Server.Version}}") or None


def storage_driver() -> str:
    """How the engine keeps its images: overlay2, or something slower."""
    return ask("docker", "info", "--format", "{{.Driver}}") or "an unknown storage driver"


def require_permission() -> None:
    """ToolError where an engine may well run, but neither answers nor can be started by this user."""
    if os.environ.get("DOCKER_HOST"):
        raise ToolError("cannot reach the engine that DOCKER_HOST names", *HELP)
    if os.geteuid() == 0:
        return
    if SOCKET.exists() and not os.access(SOCKET, os.W_OK):
        raise ToolError(f"cannot use {SOCKET}: this user is not in the group docker", "As root: adduser USER docker")
    raise ToolError("cannot start a container engine: not root", *HELP)


def start(step: Step) -> None:
    """Start the installed engine: by systemd where that runs, otherwise in the background."""
    if Path("/run/systemd/system").is_dir():
        step.say("starting docker.service")
        work(["systemctl", "start", "docker"], log="engine", say=step.say)
        return
    for options in STORAGE_TRIES:
        step.say(f"starting {' '.join(('dockerd', *options))}, log in {LOG}")
        daemon = spawn(options)
        if wait_until_ready(daemon):
            return
        end(daemon)
    raise ToolError(f"cannot start dockerd; the end of {LOG}:", *tail(LOG), *HELP)


def spawn(options: tuple[str, ...]) -> subprocess.Popen[bytes]:
    """A dockerd that outlives this program and the terminal it was called from."""
    with LOG.open("ab") as log:
        return subprocess.Popen(
            ["dockerd", *options],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            cwd="/",
        )


def wait_until_ready(daemon: subprocess.Popen[bytes]) -> bool:
    """Whether the engine answers before it ends and before the deadline."""
    deadline = time.monotonic() + READY_S
    for attempt in itertools.count():
        if server_version():
            return True
        if time.monotonic() > deadline:
            return False
        try:
            # The pause and the watch for an early end in one.
            daemon.wait(timeout=min(1.0, 0.05 * 2**attempt))
        except subprocess.TimeoutExpired:
            continue
        return False
    raise AssertionError("unreachable")


def end(daemon: subprocess.Popen[bytes]) -> None:
    """Make room for another try."""
    daemon.terminate()
    try:
        daemon.wait(timeout=15)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
