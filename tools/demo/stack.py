"""A compose project: started with progress, watched until every service is healthy, asked, and removed.

Settings reach Compose as its environment, and nothing else does: neither this shell's variables nor the checkout's
.env, which may be those of a real installation.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.commands import ROOT, log_path, tail
from tools.console import ToolError

Say = Callable[[str], None]

COMPOSE = ("docker", "compose", "--project-directory", str(ROOT), "--file", str(ROOT / "docker-compose.yaml"))
# Of this shell's variables, those that say how an engine is reached, and which version's images are meant.
KEPT = re.compile(r"PATH|HOME|USER|TMPDIR|LANG|XDG_.*|DOCKER_.*|SSH_.*|.*_PROXY|.*_proxy|POSTERN_VERSION")

IMAGE_VARIABLES = ("POSTERN_VERSION", "vmail_uid")

UP_S = 300.0
DOWN_S = 180.0
ASK_S = 60.0
POLL_S = 0.25
SIGN_OF_LIFE_S = 10.0
LOG_LINES = 15
CLEAR_LINE = "\x1b[2K"  # what Compose 2.26 puts before each line without a prefix, on a terminal or not
PROGRESS = re.compile(r"\s*(Container|Network|Volume) ")
# Codes of entrypoint's that a new start does not cure: wrong command line, a bug, settings refused.
FINAL_CODES = (64, 70, 78)


@dataclass(frozen=True)
class Container:
    """What the engine knows of a service's container. `state` is one word, of Docker's own."""

    service: str
    state: str
    exit_code: int
    said: str  # the last health check

    @property
    def failed(self) -> bool:
        """Whether it is in a state that a service that starts does not pass through; it may yet recover."""
        return self.state in ("unhealthy", "restarting", "exited", "dead")

    @property
    def gave_up(self) -> bool:
        """Whether the service has said that its settings have to change; the engine starts it again all the same."""
        return self.failed and self.exit_code in FINAL_CODES

    @classmethod
    def of(cls, inspected: Mapping[str, Any]) -> Container:
        """Out of an item of `docker inspect`."""
        state = inspected["State"]
        health = state.get("Health") or {}
        checks = health.get("Log") or [{"Output": ""}]
        return cls(
            service=inspected["Config"]["Labels"]["com.docker.compose.service"],
            state=health.get("Status", "running") if state["Status"] == "running" else state["Status"],
            exit_code=state["ExitCode"],
            said=(checks[-1]["Output"].strip().splitlines() or [""])[-1],
        )


class Stack:
    """The services of the compose file with these settings, under the project name in them.

    `more` are compose files that change it.
    """

    def __init__(self, settings: Mapping[str, str], more: Sequence[Path] = ()) -> None:
        self.settings = settings
        self._compose = (*COMPOSE, *(word for path in more for word in ("--file", str(path))))
        self.project = settings["COMPOSE_PROJECT_NAME"]

    def up(self, say: Say = print, deadline_s: float = UP_S) -> None:
        """Start what does not run, and wait until everything is healthy.

        `say` gets a line for each service that got healthy, and signs of life. ToolError with the service's last words
        where one cannot; the stack is left as it is then, to be looked at.
        """
        if failed := [name for name, container in self.containers().items() if container.failed]:
            # Compose would start nothing that depends on one of these, and watching would find what was wrong before.
            self.ask("rm", "--stop", "--force", *failed, timeout_s=DOWN_S)
        watch = Watch(self.ask("config", "--services").split(), say, deadline_s)
        with log_path(f"{self.project}-up").open("wb") as log:
            child = self._start("up", "--detach", "--no-build", "--pull", "never", "--remove-orphans", output=log)
            try:
                # First whether Compose has ended: what it does must not be newer than what is looked at.
                while not watch.complete(up_code=child.poll(), containers=self.containers()):
                    with suppress(subprocess.TimeoutExpired):
                        child.wait(POLL_S)
                    if child.returncode is not None:
                        time.sleep(POLL_S)
            except Stuck as stuck:
                raise self._explain(stuck, Path(log.name)) from None
            finally:
                if child.poll() is None:
                    child.terminate()
                    child.wait()

    def down(self) -> None:
        """Remove the project's containers, network and volumes."""
        self.ask("--profile", "*", "down", "--volumes", "--remove-orphans", timeout_s=DOWN_S)

    def containers(self) -> dict[str, Container]:
        """What there is, by service."""
        # Compose gives the first label to images that it builds, too, and so to every container of such an image.
        labels = (f"com.docker.compose.project={self.project}", "com.docker.compose.oneoff=False")
        filters = [word for label in labels for word in ("--filter", f"label={label}")]
        found = self._run(["docker", "ps", "--all", "--quiet", "--no-trunc", *filters], ASK_S).split()
        if not found:
            return {}
        try:
            inspected = json.loads(self._run(["docker", "inspect", *found], ASK_S))
        except ToolError:
            return {}  # one has gone since
        # Docker names the newest first, and it is the newest that counts while Compose replaces another one.
        return {container.service: container for container in map(Container.of, reversed(inspected))}

    def port(self, service: str, port: int) -> tuple[str, int]:
        """Where a client on this machine finds a service's port."""
        host, _, number = self.ask("port", service, str(port)).strip().rpartition(":")
        return ("127.0.0.1" if host in ("0.0.0.0", "[::]") else host), int(number)  # noqa: S104  # compared only

    def logs(self, service: str, lines: int | None = None) -> list[str]:
        """What the service has logged, all or the last lines of it."""
        last = () if lines is None else ("--tail", str(lines))
        text = self.ask("logs", "--no-color", "--no-log-prefix", *last, service)
        return text.replace(CLEAR_LINE, "").splitlines()

    def execute(self, service: str, *command: str) -> str:
        """What the command prints in the service's container."""
        return self.ask("exec", "--no-TTY", service, *command)

    def ask(self, *arguments: str, timeout_s: float = ASK_S) -> str:
        """What Compose prints; ToolError with its last words when it fails."""
        return self._run([*self._compose, "--env-file", os.devnull, *arguments], timeout_s)

    def _start(self, *arguments: str, output: Any) -> subprocess.Popen[bytes]:
        command = [*self._compose, "--env-file", os.devnull, "--progress", "plain", *arguments]
        return subprocess.Popen(
            command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )

    def _run(self, command: Sequence[str], timeout_s: float) -> str:
        try:
            done = subprocess.run(
                command,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError:
            raise ToolError("cannot find the docker command", "make setup") from None
        except subprocess.TimeoutExpired:
            raise ToolError(f"cannot finish {' '.join(command)}: no end after {timeout_s:.0f} s") from None
        if done.returncode:
            problem = (
                f"cannot {' '.join(arg for arg in command if arg not in self._compose)} (exit code {done.returncode}):"
            )
            raise ToolError(problem, *done.stderr.strip().splitlines()[-LOG_LINES:])
        return done.stdout

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if KEPT.fullmatch(name)}
        return {**images_are_made_with(ROOT / ".env"), **kept, **self.settings}

    def _explain(self, stuck: Stuck, log: Path) -> ToolError:
        """The error that a person gets to read: the service with its own words, or Compose's words."""
        if stuck.service is None:
            return ToolError(f"cannot start {self.project}: {stuck} ({log}):", *words_of_compose(tail(log)))
        # A service that is started again and again says the same each time.
        said = dict.fromkeys(self.logs(stuck.service, LOG_LINES))
        return ToolError(f"cannot start {stuck.service}: {stuck}; its last lines:", *said)


def images_are_made_with(env_file: Path) -> dict[str, str]:
    """What a checkout's .env says about its images, if there is one: tools.images builds them with it."""
    if not env_file.is_file():
        return {}
    pairs = (line.partition("=")[::2] for line in env_file.read_text(errors="replace").splitlines())
    return {name: value.strip().strip("'\"") for name, value in pairs if name in IMAGE_VARIABLES}


def words_of_compose(lines: Sequence[str]) -> list[str]:
    """What Compose says besides its progress; all if it is nothing else."""
    return [line for line in lines if not PROGRESS.match(line)] or list(lines)


class Stuck(Exception):
    """Waiting is of no more use; `service` is the one to look at, if it is one."""

    def __init__(self, why: str, service: str | None = None) -> None:
        super().__init__(why)
        self.service = service


class Watch:
    """Looks at containers again and again, and tells what is new."""

    def __init__(
        self, services: Iterable[str], say: Say, deadline_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._services = sorted(services)
        self._healthy: set[str] = set()
        self._say = say
        self._clock = clock
        self._started = self._last_said = clock()
        self._deadline_s = deadline_s

    def complete(self, up_code: int | None, containers: Mapping[str, Container]) -> bool:
        """Whether all services are healthy; Stuck when that will not be.

        `up_code` is what `compose up` has ended with, None while it runs.
        """
        healthy = {name for name in self._services if name in containers and containers[name].state == "healthy"}
        for service in sorted(healthy - self._healthy):
            self._tell(f"{service} is healthy")
        # One that was healthy may be replaced by `compose up`, and then it is waited for again.
        self._healthy = healthy
        if len(healthy) == len(self._services) and up_code == 0:
            return True
        self._require_hope(containers, up_code)
        if self._clock() - self._last_said >= SIGN_OF_LIFE_S:
            self._tell(f"waiting for {self._situation(containers)}")
        return False

    def _require_hope(self, containers: Mapping[str, Container], up_code: int | None) -> None:
        for container in containers.values():
            if container.gave_up:
                raise Stuck(f"it ended with code {container.exit_code}", container.service)
        if up_code:
            self._blame(container for container in containers.values() if container.failed)
            raise Stuck(f"compose up ended with code {up_code}")
        if self._clock() - self._started > self._deadline_s:
            begun = [containers[name] for name in self._waiting() if name in containers]
            self._blame(sorted(begun, key=lambda container: not container.failed))
            raise Stuck(f"no end after {self._deadline_s:.0f} s: {self._situation(containers)}")

    def _blame(self, suspects: Iterable[Container]) -> None:
        for container in suspects:
            raise Stuck(f"it is {container.state} ({container.said or 'without a word'})", container.service)

    def _situation(self, containers: Mapping[str, Container]) -> str:
        """Who is waited for, those who have begun first and with what they say."""
        waiting = self._waiting()
        begun = {name: c for name, c in containers.items() if name in waiting and c.state != "created"}
        words = [f"{name} ({begun[name].said or begun[name].state})" for name in waiting if name in begun]
        return ", ".join([*words, *(name for name in waiting if name not in begun)])

    def _waiting(self) -> list[str]:
        return [name for name in self._services if name not in self._healthy]

    def _tell(self, text: str) -> None:
        self._last_said = self._clock()
        self._say(f"{self._last_said - self._started:5.1f} s  {text}")
