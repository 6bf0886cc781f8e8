"""The `.env` that `init` writes (env.j2): what was answered, with comments for whoever reads it next year."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import jinja2

from entrypoint.init.answers import Answers

LDAP_IP = "172.20.0.10"  # the embedded directory's own, as docker-compose.yaml has it
_PLAIN = re.compile(r"[A-Za-z0-9_./:@,=+~%*()&|-]+( [A-Za-z0-9_./:@,=+~%*()&|-]+)*")


def text(answers: Answers, paths: Mapping[str, str]) -> str:
    """All of it. `paths` are files as the `.env` names them; "" is one that is not needed."""
    jinja = jinja2.Environment(  # noqa: S701 - no HTML; `set` quotes each value
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters["set"] = assignment
    first, *others = answers.hosts()
    names = ", ".join([first, *(f"{host.partition('.')[0]}…" for host in others)])
    return jinja.get_template("env.j2").render(**vars(answers), **paths, names=names, ldap_ip=LDAP_IP)


def assignment(name: str, value: str) -> str:
    """A line that Compose reads back as this very value (Compose specification, "Env_file format")."""
    if _PLAIN.fullmatch(value):
        return f"{name}={value}"
    if "'" in value or value.endswith("\\"):
        escaped = re.sub(r'([\\"$])', r"\\\1", value)
        return f'{name}="{escaped}"'
    return f"{name}='{value}'"
