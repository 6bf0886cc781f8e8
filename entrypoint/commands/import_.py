"""`entrypoint import SYSTEM FILE`: the settings of another mail system as a new `.env`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

HELP = "make a .env of another mail system's settings (on the host)"
SYSTEMS = ("docker-mailserver", "docker-dovecot")


def arguments(parser: argparse.ArgumentParser) -> None:
    """From where, and to where."""
    parser.add_argument("system", metavar="SYSTEM", choices=SYSTEMS, help="docker-mailserver or docker-dovecot")
    parser.add_argument("file", type=Path, metavar="FILE", help="its env file, or a compose file")
    parser.add_argument("--service", default="", metavar="NAME", help="in the compose file (default: by its image)")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write it here (default: stdout, without secrets)")
    parser.add_argument("--secrets-dir", type=Path, metavar="DIR", help="write secrets into files there")
    parser.add_argument("--force", action="store_true", help="replace files that are there already")
    parser.add_argument("--json", action="store_true", help="print what became of each name, instead of the .env")


def run(options: argparse.Namespace) -> int:
    """Write the `.env`, and tell on stderr what it has come to."""
    import json

    from entrypoint.console import has_colour
    from entrypoint.imports import docker_mailserver, dotenv, explain, report, writing
    from entrypoint.imports.source import read_source

    images = docker_mailserver.IMAGES if options.system == "docker-mailserver" else ""
    found = explain.read(options.system, read_source(options.file, options.service, images))
    secrets = dotenv.secret_files(found) if options.secrets_dir else {}
    new = [options.out] if options.out else []
    writing.insist_on_new([*new, *(options.secrets_dir / name for name in secrets)], force=options.force)
    if options.secrets_dir:
        writing.write_secrets(options.secrets_dir, secrets)
    text = dotenv.as_text(found, _as_seen(options.secrets_dir, options.out), with_secrets=bool(options.out))
    if options.out:
        writing.write(options.out, text, 0o600)
    if options.json:
        print(json.dumps(report.as_json(found), indent=2))
    elif not options.out:
        print(text, end="")
    print(report.as_table(found, coloured=has_colour(sys.stderr)), file=sys.stderr)
    return 0


def _as_seen(folder: Path | None, out: Path | None) -> str | None:
    """The folder of secrets as the `.env` names it: as a path that begins where the `.env` is."""
    if folder is None or folder.is_absolute():
        return str(folder) if folder else None
    return f"./{os.path.relpath(folder, out.parent if out else '.')}"
