"""`python -m entrypoint` is the same as the command `entrypoint`: the way to it that is short for health checks."""

from __future__ import annotations

import sys


def main() -> int:
    """Run the command in sys.argv; its exit code."""
    command, arguments = sys.argv[1:2], sys.argv[2:]
    if command == ["health"]:
        from entrypoint import health

        if health.is_plain(arguments):
            return health.main(arguments)
    from entrypoint import cli  # with argparse and pathlib: another 20 ms

    return cli.main()


if __name__ == "__main__":
    sys.exit(main())
