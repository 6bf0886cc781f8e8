"""`entrypoint status`: the programs of this container, or, on the host, those of all containers of the stack.

A table for people, and everything as JSON for programs. The container asks nobody: it reads what the
supervisor, the last health check and /proc say. The host asks each container by `docker exec`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from entrypoint.console import GREEN, RED, YELLOW, Row, has_colour, table
from entrypoint.errors import Unavailable
from entrypoint.health import age
from entrypoint.host import LABEL, containers, default_project, docker, in_container
from entrypoint.plan import RUN_DIR

_SAMPLE_S = 0.2
_AT_ONCE = 16

_HEADS = ("program", "kind", "state", "pid", "uptime", "restarts", "cpu", "memory", "last exit", "next")
_TO_THE_RIGHT = frozenset({"pid", "uptime", "restarts", "cpu", "memory", "next"})
_COLOURS = {
    **dict.fromkeys(("running", "done", "waiting", "healthy"), GREEN),
    **dict.fromkeys(("backoff", "stopping", "starting", "restarting", "created", "paused"), YELLOW),
    **dict.fromkeys(("fatal", "stopped", "unhealthy", "exited", "dead"), RED),
}


def main(project: str = "", *, as_json: bool = False, run_dir: Path = RUN_DIR) -> int:
    """Print the status of this container, or with `project` or outside of any, of a stack."""
    if project or not in_container(run_dir):
        stack = of_stack(project or default_project())
        print(json.dumps(stack, indent=2) if as_json else stack_as_text(stack, coloured=has_colour()))
    else:
        here = of_container(run_dir)
        print(json.dumps(here, indent=2) if as_json else container_as_text(here, coloured=has_colour()))
    return 0


# --- in a container


def of_container(run_dir: Path = RUN_DIR) -> dict[str, Any]:
    """All that is known of the programs here, with `cpu_percent`, `memory_bytes` and `processes` of those that run."""
    state = _read(run_dir / "state.json")
    programs = {name: dict(program) for name, program in state.get("programs", {}).items()}
    costs = _costs({name: program["pid"] for name, program in programs.items() if program["pid"]})
    for name, cost in costs.items():
        programs[name].update(cost)
    told = {name: state.get(name) for name in ("service", "version", "phase", "since", "reload")}
    return {"at": time.time(), **told, "programs": programs, "health": _read(run_dir / "health.json") or None}


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _costs(pids: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """CPU and memory of programs, with all processes that they have started."""
    trees = {name: _tree(pid) for name, pid in pids.items()}
    for tree in trees.values():
        _sum(tree, lambda process: process.cpu_percent())  # from here on it is counted
    time.sleep(_SAMPLE_S)
    return {
        name: {
            "cpu_percent": round(_sum(tree, lambda process: process.cpu_percent()), 1),
            "memory_bytes": int(_sum(tree, _memory)),
            "processes": len(tree),
        }
        for name, tree in trees.items()
    }


def _tree(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.Error:
        return []


def _memory(process: psutil.Process) -> float:
    """PSS: what processes share is counted once; where that may not be read, RSS."""
    try:
        return float(process.memory_full_info().pss)
    except psutil.AccessDenied:
        return float(process.memory_info().rss)


def _sum(tree: Iterable[psutil.Process], ask: Callable[[psutil.Process], float]) -> float:
    """Over those that still live."""
    total = 0.0
    for process in tree:
        try:
            total += ask(process)
        except psutil.Error:
            continue
    return total


# --- on the host


def of_stack(project: str) -> dict[str, Any]:
    """All containers of a compose project, each with its own status where it runs; Unavailable when there is none."""
    inspected = json.loads(docker("inspect", *containers(project)))
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        found = sorted(pool.map(_of_one, inspected), key=lambda each: (each["service"], each["container"]))
    return {"at": time.time(), "project": project, "containers": found}


def _of_one(inspected: Mapping[str, Any]) -> dict[str, Any]:
    state, name = inspected["State"], inspected["Name"].removeprefix("/")
    health = state.get("Health") or {}
    said = [str(check["Output"]).strip() for check in health.get("Log") or ()]
    return {
        "service": inspected["Config"]["Labels"].get(f"{LABEL}.service", ""),
        "container": name,
        "state": state["Status"],
        "exit_code": state["ExitCode"],
        "health": health.get("Status", ""),
        "said": said[-1] if said else "",
        "status": _asked(name) if state["Status"] == "running" else None,
    }


def _asked(container: str) -> dict[str, Any] | None:
    """What it says of itself; nothing where it cannot, as the sink of the demo."""
    try:
        found: dict[str, Any] = json.loads(docker("exec", container, "entrypoint", "status", "--json"))
    except (Unavailable, ValueError):
        return None
    return found


# --- for people


def container_as_text(here: Mapping[str, Any], *, coloured: bool = False) -> str:
    """The table, and below it what the last health check and reload said."""
    if not here["programs"]:
        return "starting: the supervisor has not reported yet"
    lines = [table(_HEADS, _rows(here), right=_TO_THE_RIGHT, colours=_COLOURS, coloured=coloured), ""]
    health, reload = here["health"], here["reload"]
    told = f"{health['line']} ({age(here['at'] - health['at'])} ago)" if health else "not asked yet"
    lines.append(f"health  {told}")
    if reload:
        ended = "done" if reload["ok"] else "refused"
        lines.append(f"reload  {ended} {age(here['at'] - reload['at'])} ago: {reload['line']}")
    return "\n".join(lines)


def stack_as_text(stack: Mapping[str, Any], *, coloured: bool = False) -> str:
    """One table of all programs, and below it the line of each container that has something to say."""
    rows: list[Row] = []
    for container in stack["containers"]:
        word = container["health"] or container["state"]
        if container["state"] != "running":
            word = f"{container['state']} ({container['exit_code']})"
        of_it = _rows(container["status"]) if container["status"] else [{}]
        rows += [{"service": container["service"], "health": word, **of_it[0]}, *of_it[1:]]
    lines = [table(("service", "health", *_HEADS), rows, right=_TO_THE_RIGHT, colours=_COLOURS, coloured=coloured)]
    news = [each for each in stack["containers"] if each["said"] and not each["said"].startswith("healthy:")]
    news = [each for each in news if each["health"] != "healthy" or "but:" in each["said"]]
    width = max((len(each["service"]) for each in news), default=0)
    lines += [""] * bool(news) + [f"{each['service']:<{width}}  {each['said']}" for each in news]
    return "\n".join(lines)


def _rows(status: Mapping[str, Any]) -> list[Row]:
    return [_row(name, program, status["at"]) for name, program in status["programs"].items()] or [{}]


def _row(name: str, program: Mapping[str, Any], at: float) -> Row:
    """One program; empty where there is nothing to tell."""
    is_daemon, pid = program["kind"] == "daemon", program["pid"]
    return {
        "program": name,
        "kind": program["kind"],
        "state": program["state"],
        "pid": str(pid) if pid else "",
        "uptime": age(at - program["since"]) if pid else "",
        "restarts": str(max(0, program["starts"] - 1)) if is_daemon else "",
        "cpu": f"{program['cpu_percent']:.1f} %" if "cpu_percent" in program else "",
        "memory": f"{program['memory_bytes'] / 2**20:.1f} MiB" if "memory_bytes" in program else "",
        "last exit": program["last_exit"] or "",
        "next": f"in {age(program['next'] - at)}" if program["next"] else "",
    }
