"""The second stage: `__main__.py plan.json PATH…`, started by `become`, with its state beside the plan.

Python knows no more than its own library yet (-S); PATH… is where the rest is.
"""

import sys

sys.path[:] = sys.argv[2:] or sys.path

from entrypoint.supervise.become import hold_signals  # noqa: E402

hold_signals()

import os  # noqa: E402

from entrypoint.supervise.launch import launch_plan  # noqa: E402


def main(plan_file: str = "/run/entrypoint/plan.json") -> int:
    """Start the plan's programs, and only then import what supervises them; the exit code."""
    launched = launch_plan(plan_file)

    from pathlib import Path

    from entrypoint.plan import STATE_FILE, read_plan
    from entrypoint.supervise import supervise

    return supervise(read_plan(Path(plan_file)), Path(plan_file).with_name(STATE_FILE.name), launched)


if __name__ == "__main__":
    code = main(*sys.argv[1:2])
    sys.stdout.flush()
    os._exit(code)  # nothing is left to clean up, and taking the interpreter down costs 10 ms
