"""The .env files of the demo and of tests: read, and moved to another place where two shall run side by side."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

from tools.commands import ROOT
from tools.console import ToolError

DEMO_ENV = ROOT / "examples" / "demo.env"
DEMO_FOLDER = "./.demo"

# Compose wants the address and a colon, and then the engine picks a free port.
ANY_PORT = "127.0.0.1:"


def read_env(path: Path) -> dict[str, str]:
    """The variables of an .env file of NAME=value lines and comments, which is all that ours have."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}") from error
    variables: dict[str, str] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not (equals and name.isidentifier()):
            raise ToolError(f"cannot read {path}: line {number} is neither NAME=value nor a comment")
        variables[name] = value
    return variables


def moved(settings: Mapping[str, str], *, project: str, folder: Path, network: str) -> dict[str, str]:
    """The same stack as another project.

    Its files are in `folder`, its addresses have the same places in `network`, and its ports are any free ones
    (Stack.port tells them).
    """
    here, there = IPv4Network(settings["MAIL_NETWORK"]), IPv4Network(network)

    def move(name: str, value: str) -> str:
        if name.endswith("_IP"):
            return str(there[int(IPv4Address(value)) - int(here[0])])
        if value.startswith(ANY_PORT):
            return ANY_PORT
        if value.startswith(f"{DEMO_FOLDER}/"):
            return str(folder / value.removeprefix(f"{DEMO_FOLDER}/"))
        return value

    others = {name: move(name, value) for name, value in settings.items()}
    return {**others, "COMPOSE_PROJECT_NAME": project, "MAIL_NETWORK": str(there)}
