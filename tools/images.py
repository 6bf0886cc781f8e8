"""Build every image of the compose file, the base first: one line an image.

An image is built once, however many services run it. Docker's cache decides what there is to do; what it leaves as it
was is called unchanged. The complete output is in .cache, and its end on the screen when a build fails.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.commands import CACHE, ROOT, ask, work
from tools.console import Step, ToolError, step

BASE = "base"
# Builds mostly wait for packages to be unpacked: more at a time only slow each other down.
AT_A_TIME = 2

# Known to Docker in every build, and no part of the image.
PROXY_ARGS = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
PIP_ARGS = ("PIP_INDEX_URL", "PIP_TRUSTED_HOST")
CA_VARIABLES = ("EXTRA_CA", "SSL_CERT_FILE", "PIP_CERT")


@dataclass(frozen=True)
class Image:
    """What a build makes: the image's name, and the first service of the compose file that it is made for."""

    name: str
    service: str

    @property
    def label(self) -> str:
        """What a person calls it: `exim` for `registry.example.org/postern-exim:dev`."""
        return self.name.rsplit("/", 1)[-1].split(":")[0].removeprefix("postern-")


def main() -> int:
    """Build all; the exit code."""
    try:
        base, others = sort_out(read_compose_file())
        build(base)
        with ThreadPoolExecutor(AT_A_TIME) as pool:
            # Asking for the results raises what a build raised; the builds that have not begun are left out then.
            list(pool.map(build, others))
    except ToolError:
        return 1
    return 0


def compose() -> list[str]:
    """The compose command, with the settings of this machine or those of the demo: some may have no default."""
    files = (ROOT / ".env", ROOT / "examples" / "demo.env")
    settings = next((["--env-file", str(file)] for file in files if file.is_file()), [])
    return ["docker", "compose", *settings, "--profile", "*"]


def read_compose_file() -> dict[str, Any]:
    """The services of the compose file, by name."""
    resolved = CACHE / "compose.json"
    with step("images") as current:
        config = ["config", "--format", "json", "--output", str(resolved)]
        work([*compose(), *config], log="compose", say=current.say)
        services: dict[str, Any] = json.loads(resolved.read_text())["services"]
        resolved.unlink()  # it may hold passwords
        current.outcome = f"{len(services)} services"
    return services


def sort_out(services: Mapping[str, Any]) -> tuple[Image, list[Image]]:
    """The base image, and the other images that are built here, each once and sorted by name."""
    first: dict[str, Image] = {}
    for service, content in sorted(services.items()):
        if "build" in content:
            first.setdefault(content["image"], Image(content["image"], service))
    base = first.pop(services[BASE]["image"])
    return base, sorted(first.values(), key=lambda image: image.name)


def build(image: Image) -> None:
    """Build one image; the last line says whether that changed it."""
    with step(image.label) as current:
        before = image_id(image)
        command = [*compose(), "--progress", "plain", "build", *build_args(image, os.environ), image.service]
        work(command, log=f"image-{image.label}", say=current.say, env=extra_ca(os.environ))
        report(current, before, image_id(image))


def report(current: Step, before: str | None, after: str | None) -> None:
    """What came of it."""
    if after == before:
        current.outcome = "unchanged"
    else:
        current.done("built")


def image_id(image: Image) -> str | None:
    """What the name stands for now; None for nothing."""
    return ask("docker", "image", "inspect", "--format", "{{.Id}}", image.name)


def build_args(image: Image, env: Mapping[str, str]) -> list[str]:
    """Pass on how this machine gets out: its proxies, and to pip its index. By name: an address may have a password."""
    names = PROXY_ARGS + (PIP_ARGS if image.service == BASE else ())
    return [word for name in names if env.get(name) for word in ("--build-arg", name)]


def extra_ca(env: Mapping[str, str]) -> dict[str, str]:
    """EXTRA_CA for the compose file: the certificates that this machine trusts besides the usual, if it says so.

    Where a proxy opens TLS, people have set one of these variables for their other programs already.
    """
    files = [env[name] for name in CA_VARIABLES if env.get(name)]
    return {"EXTRA_CA": files[0]} if files and Path(files[0]).is_file() else {}


if __name__ == "__main__":
    sys.exit(main())
