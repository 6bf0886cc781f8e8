"""The stack as it is seen from its host: the containers of a compose project, asked by `docker`.

Commands that ask a running service are the same on the host and in its container; here is how they get there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from entrypoint.environment import read_env_file
from entrypoint.errors import Unavailable
from entrypoint.plan import RUN_DIR

PROJECT = "postern"  # the compose file's own name for it
LABEL = "com.docker.compose"
_IN_IMAGES = Path("/opt/postern/install")
_ASK_S = 30.0


def in_container(run_dir: Path = RUN_DIR) -> bool:
    """Whether this process is in a container of ours."""
    return run_dir.exists() or _IN_IMAGES.exists()


def default_project() -> str:
    """The name that Compose would take here: from the environment, from .env, or the compose file's own."""
    if name := os.environ.get("COMPOSE_PROJECT_NAME"):
        return name
    env_file = Path(".env")
    return (read_env_file(env_file).get("COMPOSE_PROJECT_NAME") if env_file.exists() else "") or PROJECT


def containers(project: str) -> list[str]:
    """The ids of all containers of a compose project, also of those that have ended; Unavailable when there is none."""
    found = docker("ps", "--all", "--quiet", "--filter", f"label={LABEL}.project={project}").split()
    if not found:
        raise Unavailable(
            f"cannot find a container of the project {project!r}; {_other_projects()}"
            "start it (docker compose up -d), or name another one (--project NAME)"
        )
    return found


def container_of(service: str, project: str = "") -> str:
    """The running container of a service; Unavailable, with the cure, when there is none."""
    project = project or default_project()
    wanted = [f"label={LABEL}.project={project}", f"label={LABEL}.service={service}"]
    found = docker("ps", "--quiet", *(word for each in wanted for word in ("--filter", each))).split()
    if not found:
        raise Unavailable(
            f"cannot ask {service}: it does not run in the project {project!r}; "
            f"start it (docker compose up -d {service}), or name another project (--project NAME)"
        )
    return found[0]


def pass_on(service: str, project: str, words: Sequence[str], *, stdin: str | None = None) -> int:
    """The same command in the container of a service, with our outputs, and our input or `stdin`; its exit code."""
    command = ["docker", "exec", "--interactive", container_of(service, project), "entrypoint", *words]
    return subprocess.run(command, input=stdin, text=True, check=False).returncode


def _other_projects() -> str:
    listed = docker("ps", "--all", "--format", f'{{{{.Label "{LABEL}.project"}}}}').split()
    return f"there are {', '.join(sorted(set(listed)))}; " if listed else ""


def docker(*arguments: str, stdin: str = "", timeout_s: float = _ASK_S) -> str:
    """What docker prints; Unavailable with its words when it cannot."""
    what = f"cannot ask docker ({' '.join(arguments[:2])})"
    try:
        done = subprocess.run(
            ["docker", *arguments], input=stdin, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except FileNotFoundError:
        raise Unavailable(
            "cannot ask the containers: this is no container of Postern's, and docker is not installed here"
        ) from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"{what}: no answer within {timeout_s:g} s") from None
    if done.returncode:
        raise Unavailable(f"{what}: {(done.stderr.strip().splitlines() or ['it failed'])[-1]}")
    return done.stdout
