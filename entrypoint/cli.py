"""The command line: one parser, the commands of entrypoint.commands, and an exit code for each end."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from typing import NoReturn

from entrypoint import __version__, commands, complain
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
    words = sys.argv[1:] if arguments is None else arguments
    options = _parser(words[:1]).parse_args(words)
    options.words = list(words)  # as they are, for commands that are passed on to a container
    service = options.service if options.name == "run" else ""
    try:
        code: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # who reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except EntrypointError as error:
        complain.say(str(error), service)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except Exception:  # noqa: BLE001  # the last line of defence, with a code of its own
        import traceback

        complain.say(f"a bug in entrypoint\n{traceback.format_exc()}", service)
        return EntrypointError.exit_code
    return code


def _parser(first: Sequence[str]) -> _Parser:
    """With all commands; or, where the first word is one, with that alone: the others need not be read."""
    parser = _Parser(prog="entrypoint", description="Postern's services.", epilog=_CODES)
    parser.add_argument("--version", action="version", version=__version__)
    subparsers = parser.add_subparsers(metavar="COMMAND", required=True, parser_class=_Parser)
    known = commands.names()
    for name in first if set(first) & set(known) else known:
        command = commands.load(name)
        each = subparsers.add_parser(name, help=command.HELP)
        command.arguments(each)
        each.set_defaults(name=name, run=command.run)
    return parser


if __name__ == "__main__":
    sys.exit(main())
