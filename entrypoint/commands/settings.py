"""`entrypoint settings`: what there is to set."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrypoint.reference.catalogue import Section

HELP = "tell what variables there are, or all about one"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which, for whom, and how."""
    parser.add_argument("wanted", metavar="NAME", nargs="*", help="a variable, of today or of old, or a part of names")
    parser.add_argument("--service", metavar="SERVICE", default="", help="only what this service reads")
    parser.add_argument(
        "--format",
        choices=("table", "markdown", "env", "json-schema"),
        help="a table for a terminal (default), a page, a file of examples, or JSON Schema for programs",
    )


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from entrypoint.console import show
    from entrypoint.reference import catalogue

    chosen = catalogue.sections(options.service)
    exact = bool(options.wanted) and all(catalogue.is_exact(chosen, name) for name in options.wanted)
    if options.wanted:
        chosen = catalogue.matching(chosen, options.wanted)
    show(_text(chosen, options, exact=exact).rstrip("\n"))
    return 0


def _text(chosen: Sequence[Section], options: argparse.Namespace, *, exact: bool) -> str:
    from entrypoint.reference import env_file, json_schema, markdown, terminal

    if options.format == "markdown":
        return markdown.text(chosen)
    if options.format == "env":
        return env_file.text(chosen)
    if options.format == "json-schema":
        import json

        return json.dumps(json_schema.schema(chosen, options.service), indent=2, ensure_ascii=False)
    return terminal.words(chosen) if exact and not options.format else terminal.table(chosen)
