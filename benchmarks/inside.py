"""The same benchmarks in a container of our own base image: its Python, its libraries, Debian 13's s6."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence

from tools.commands import ROOT
from tools.console import ToolError, step

# What the build gets: not the checkout, of which .dockerignore lets nothing else through.
PARTS = ("benchmarks", "entrypoint", "examples", "install", "tests/unit/golden", "tools")


def run(arguments: Sequence[str]) -> int:
    """Build the image, and run the benchmarks in it with these arguments; their exit code."""
    version = os.environ.get("POSTERN_VERSION", "dev")
    image = f"postern-bench:{version}"
    with step("image") as current:
        _build(image, f"postern-base:{version}")
        current.done(f"built {image}")
    return subprocess.run(["docker", "run", "--rm", image, *arguments], check=False).returncode


def _build(image: str, base: str) -> None:
    """ToolError, with what Docker says, where there is no engine or no base image."""
    command = ["docker", "build", "--file", "benchmarks/Dockerfile", "--build-arg", f"BASE={base}", "--tag", image, "-"]
    tar = ["tar", "-c", "-C", str(ROOT), "--exclude=__pycache__", *PARTS]
    with subprocess.Popen(tar, stdout=subprocess.PIPE) as context:
        done = subprocess.run(command, stdin=context.stdout, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(
            f"cannot build {image}: {done.stderr.strip()[-300:]}", "The base image is needed first: make images"
        )
