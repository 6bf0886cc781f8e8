"""Programs that require a daemon wait until it answers, and not only until it was started.

The supervisor knows one kind of waiting: for a program that has ended well. So between the two comes
a program of ours that ends when the daemon's `ready` probes have answered: `python -m entrypoint.readiness NAME`.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter

import structlog

from entrypoint.errors import EntrypointError
from entrypoint.logs import configure
from entrypoint.plan import Need, Plan, Program, read_plan
from entrypoint.wait import wait_for

DEADLINE_S = 300.0


def in_order(programs: Sequence[Program], env: Mapping[str, str]) -> tuple[Program, ...]:
    """The programs, each after all that it requires, and with what waits for the daemons among these.

    EntrypointError for requirements that nothing can fulfil: it is a service's module that is wrong.
    """
    wanted = {name for program in programs for name in program.requires}
    waiting = {p.name: _waiting_for(p, env) for p in programs if p.name in wanted and p.ready}
    everybody = [*(_requiring(program, waiting) for program in programs), *waiting.values()]
    return _sorted({program.name: program for program in everybody})


def _waiting_for(daemon: Program, env: Mapping[str, str]) -> Program:
    return Program(
        name=f"{daemon.name}-ready",
        kind="once",
        argv=(sys.executable, "-P", "-m", __name__, daemon.name),
        env=env,
        parser="ours",
        requires=(daemon.name,),
    )


def _requiring(program: Program, waiting: Mapping[str, Program]) -> Program:
    """The program, with who waits for a daemon in that daemon's place."""
    names = (waiting[name].name if name in waiting else name for name in program.requires)
    return replace(program, requires=tuple(names))


def _sorted(programs: Mapping[str, Program]) -> tuple[Program, ...]:
    for program in programs.values():
        for name in program.requires:
            if name not in programs or programs[name].kind == "job":
                raise EntrypointError(f"cannot plan {program.name}: it requires {name}, which is no daemon and no once")
    try:
        order = TopologicalSorter({name: program.requires for name, program in programs.items()}).static_order()
        return tuple(programs[name] for name in order)
    except CycleError as error:
        raise EntrypointError(f"cannot plan: {' requires '.join(reversed(error.args[1]))}") from None


def main(name: str, plan: Plan | None = None) -> int:
    """Return 0 when the daemon called `name` answers; the errors of `wait_for` otherwise."""
    plan = plan or read_plan()
    configure("json", plan.log_level, service=plan.service)
    (daemon,) = (program for program in plan.programs if program.name == name)
    for probe in daemon.ready:
        wait_for(Need(name=name, probes=(probe,), deadline_s=DEADLINE_S), structlog.get_logger())
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1]))
    except EntrypointError as error:
        structlog.get_logger().error(str(error))
        sys.exit(error.exit_code)
