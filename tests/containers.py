"""Containers for tests: hardened as in the compose file, with deadlines instead of sleeps, and always removed."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

IMAGES = os.environ.get("POSTERN_VERSION", "dev")
# The same as x-service in docker-compose.yaml.
HARDENED = (
    "--read-only",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges:true",
    "--tmpfs=/run:mode=0775",
    "--tmpfs=/tmp:mode=1777",
)
_count = itertools.count(1)


def prefix(place: int) -> str:
    """The first three bytes of the network of a test module, as text; `place` is the module's own, 0 to 7.

    From the range of RFC 2544: Docker gives none of it to other people's networks, nobody's LAN is in it. Tests that
    run at the same time mostly have different ones.
    """
    return f"198.18.{(os.getpid() * 8 + place) % 256}"


def docker(*arguments: str, check: bool = True, stdin: str = "") -> str:
    """What the docker command prints, on both outputs; AssertionError with it when it fails."""
    done = subprocess.run(
        ["docker", *arguments], input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert done.returncode == 0 or not check, f"docker {' '.join(arguments)}:\n{done.stdout}"
    return done.stdout


def wait_until(question: Callable[[], T], deadline_s: float, what: str) -> T:
    """The first answer of `question` that is true; AssertionError naming `what` after the deadline."""
    end = time.monotonic() + deadline_s
    while True:
        answer = question()
        if answer:
            return answer
        assert time.monotonic() < end, f"not within {deadline_s:g} s: {what}"
        time.sleep(0.05)


@dataclass(frozen=True)
class Container:
    """A container that exists until its context ends."""

    name: str

    def state(self) -> dict[str, Any]:
        """Docker's `State`: Status, Running, ExitCode, Health, …"""
        state: dict[str, Any] = json.loads(docker("inspect", "--format", "{{json .State}}", self.name))
        return state

    def logs(self) -> str:
        """Everything that it has printed."""
        return docker("logs", self.name)

    def events(self) -> list[dict[str, Any]]:
        """The log of a container that runs with LOG_FORMAT=json."""
        return [json.loads(line) for line in self.logs().splitlines() if line.startswith("{")]

    def address(self) -> str:
        """Its address in its network."""
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", "--format", form, self.name).strip()

    def run(self, *command: str, check: bool = True, stdin: str = "") -> str:
        """What a command prints in the container, run as the service's user."""
        return docker("exec", "-i", self.name, *command, check=check, stdin=stdin)

    def wait_healthy(self, deadline_s: float = 90) -> None:
        """Until Docker calls it healthy; AssertionError at once when it ends instead."""

        def healthy() -> bool:
            state = self.state()
            assert state["Running"], f"it ended with {state['ExitCode']}:\n{self.logs()}"
            return bool(state["Health"]["Status"] == "healthy")

        wait_until(healthy, deadline_s, f"{self.name} is healthy")

    def wait_end(self, deadline_s: float = 60) -> int:
        """Its exit code, when it ends by itself."""
        wait_until(lambda: not self.state()["Running"], deadline_s, f"{self.name} ends")
        return int(self.state()["ExitCode"])

    def stop(self) -> tuple[int, float]:
        """Stop it as `docker stop` does: exit code, and how many seconds it took."""
        begin = time.monotonic()
        docker("stop", "--time", "30", self.name)
        return int(self.state()["ExitCode"]), time.monotonic() - begin

    def start(self) -> None:
        """Start it again after it has stopped."""
        docker("start", self.name)

    def pid_of(self, program: str) -> int:
        """The process that the supervisor started for a program; 0 while there is none."""
        state = json.loads(self.run("cat", "/run/entrypoint/state.json"))
        return int(state["programs"][program]["pid"] or 0)


@contextmanager
def container(
    image: str,
    *command: str,
    env: Mapping[str, str] | None = None,
    files: Mapping[str, Path] | None = None,
    options: Sequence[str] = (),
) -> Iterator[Container]:
    """A hardened container of `postern-IMAGE`; `files` are mounted read-only at their keys."""
    name = f"postern-test-{os.getpid()}-{image}-{next(_count)}"
    variables = [f"--env={key}={value}" for key, value in (env or {}).items()]
    mounts = [f"--volume={path}:{target}:ro" for target, path in (files or {}).items()]
    more = ("--health-interval=2s", *variables, *mounts, *options)
    try:
        docker("run", "--detach", "--name", name, *HARDENED, *more, f"postern-{image}:{IMAGES}", *command)
        yield Container(name)
    except BaseException:
        # Where pytest shows it: beside the failure.
        print(f"--- log of {name}\n{docker('logs', '--tail', '200', name, check=False)}")
        raise
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


@contextmanager
def network(subnet: str) -> Iterator[str]:
    """A network with this subnet; its name."""
    name = f"postern-test-{os.getpid()}-{next(_count)}"
    docker("network", "create", "--subnet", subnet, name)
    try:
        yield name
    finally:
        docker("network", "rm", name, check=False)


def remove_left_overs() -> None:
    """Remove what tests have left that were killed before they could do it."""
    kinds = (("ps --all --format {{.Names}}", "rm --force --volumes"), ("network ls --format {{.Name}}", "network rm"))
    for listing, removal in kinds:
        for name in docker(*listing.split()).splitlines():
            if (match := re.match(r"postern-test-(\d+)-", name)) and not Path(f"/proc/{match[1]}").exists():
                docker(*removal.split(), name, check=False)
