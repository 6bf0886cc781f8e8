"""The command line. Each command imports what it needs when it runs: `--help` and `health` stay quick."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from entrypoint import __version__
from entrypoint.errors import EntrypointError, UsageError

_CODES = """exit codes: 0 orderly stop; 64 wrong command line; 69 a needed service did not answer in
time; 70 a bug in entrypoint; 78 settings or configuration refused; 127 daemon cannot be executed;
otherwise the daemon's own code"""


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line ends with 64 (EX_USAGE) and not 2."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(UsageError.exit_code, f"{self.prog}: {message}\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except EntrypointError as error:
        _say(str(error), options)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001  # the last line of defence, with a code of its own
        import traceback

        _say(f"a bug in entrypoint\n{traceback.format_exc()}", options)
        return EntrypointError.exit_code
    return code


def _say(text: str, options: argparse.Namespace) -> None:
    """On stderr, as LOG_FORMAT says: settings that are refused may be why logging is not set up yet."""
    if os.environ.get("LOG_FORMAT", "").strip().lower() != "json":
        print(f"entrypoint: {text}", file=sys.stderr)
        return
    import structlog

    from entrypoint.logs import configure

    configure("json", service=options.service if options.command is _run else "entrypoint")
    structlog.get_logger().error(text)


def _parser() -> _Parser:
    parser = _Parser(prog="entrypoint", description="Postern's services.", epilog=_CODES)
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)

    run = commands.add_parser("run", help="boot a service and supervise it (in a container)")
    run.add_argument("service", metavar="SERVICE")
    run.set_defaults(command=_run)

    check = commands.add_parser("check", help="say whether the settings are good, and stop")
    check.add_argument("service", metavar="SERVICE", nargs="*", help="default: all that COMPOSE_PROFILES starts")
    _add_env_file(check)
    check.set_defaults(command=_check)

    render = commands.add_parser("render", help="write a service's files below a folder")
    render.add_argument("service", metavar="SERVICE")
    render.add_argument("--out", type=Path, required=True, metavar="DIR")
    _add_env_file(render)
    render.set_defaults(command=_render)

    plan = commands.add_parser("plan", help="show what is run and asked in this container")
    plan.set_defaults(command=_plan)

    reload = commands.add_parser("reload", help="take renewed certificates and secrets (in a container)")
    reload.set_defaults(command=_reload)

    health = commands.add_parser("health", help="say in one line whether the service is well")
    depth = health.add_mutually_exclusive_group()
    depth.add_argument("--live", action="store_true", help="its programs run: no new container would be better")
    depth.add_argument("--ready", action="store_true", help="it also answers, and so does what it needs (default)")
    depth.add_argument("--deep", action="store_true", help="all that can be asked and measured, and a message sent")
    health.add_argument("--json", action="store_true", help="everything that was found out, for programs")
    health.set_defaults(command=_health)

    status = commands.add_parser("status", help="show the programs of this container, or of the stack (on the host)")
    status.add_argument("-p", "--project", default="", metavar="NAME", help="compose project (default: as for compose)")
    status.add_argument("--json", action="store_true", help="everything, for programs")
    status.set_defaults(command=_status)

    trace = commands.add_parser("trace", help="show the way of one message through all services (on the host)")
    trace.add_argument("message", metavar="MESSAGE-ID", help="with or without <>; or Exim's id of the message")
    trace.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="read the log from this file (- is standard input), not from docker compose",
    )
    trace.add_argument("--json", action="store_true", help="every step with its fields, for programs")
    trace.set_defaults(command=_trace)
    return parser


def _add_env_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="read the variables from this file (as compose does), not from the environment",
    )


def _run(options: argparse.Namespace) -> int:
    def stop(number: int, _frame: object) -> NoReturn:
        _say(f"stopped by {signal.Signals(number).name} before the daemon was started", options)
        sys.exit(0)

    # Before anything slow: the kernel drops signals to PID 1 that have no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    from entrypoint import service

    chosen = service.find(options.service)
    from entrypoint import boot

    boot.run(chosen, os.environ)


def _check(options: argparse.Namespace) -> int:
    from entrypoint import service
    from entrypoint.environment import check_settings, in_use

    env = _environment(options.env_file)
    if options.service:
        return check_settings([service.find(name) for name in options.service], env)
    return check_settings(in_use([service.find(name) for name in service.names()], env), env)


def _render(options: argparse.Namespace) -> int:
    from entrypoint import boot, service

    files = boot.render_into(service.find(options.service), _environment(options.env_file), options.out)
    for path in files:
        print(options.out / path.relative_to("/"))
    return 0


def _plan(_options: argparse.Namespace) -> int:
    from entrypoint.plan import PLAN_FILE

    try:
        print(PLAN_FILE.read_text(encoding="utf-8"), end="")
    except OSError as error:
        raise UsageError(f"cannot show the plan: {PLAN_FILE}: {error.strerror}") from None
    return 0


def _reload(_options: argparse.Namespace) -> int:
    from entrypoint import ask_reload

    return ask_reload.main()


def _health(options: argparse.Namespace) -> int:
    from entrypoint import health

    return health.main([f"--{name}" for name in (*health.MODES, "json") if getattr(options, name)])


def _trace(options: argparse.Namespace) -> int:
    from entrypoint import trace

    return trace.main(options.message, options.file, machine=options.json)


def _status(options: argparse.Namespace) -> int:
    from entrypoint import status

    return status.main(options.project, as_json=options.json)


def _environment(file: Path | None) -> Mapping[str, str]:
    if file is None:
        return os.environ
    from entrypoint.environment import read_env_file

    return read_env_file(file)
