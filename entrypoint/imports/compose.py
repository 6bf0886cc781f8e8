"""One service of a compose file. Every value stays the text that was written: `3.0` is no number, `yes` no truth.

PyYAML is needed for this alone, so it is no part of the images: `pip install 'postern[host]'` brings it.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from entrypoint.errors import Refused, Unavailable, UsageError
from entrypoint.imports.source import Source, as_list, beside, env_files, put_in, unquoted


def from_compose(file: Path, text: str, service: str, images: str) -> Source:
    """The service with its environment; Refused where there is none."""
    services = _services(file, load(file, text))
    name = _chosen(file, services, service, images)
    given = beside(file)
    keys = _put_in(services[name], given)
    source = Source(file, service=name, keys={key: value for key, value in keys.items() if key != "environment"})
    files = [each.get("path", "") if isinstance(each, dict) else str(each) for each in as_list(keys.get("env_file"))]
    source.variables = env_files(source, files) | _environment(keys.get("environment"), given)
    return source


def load(file: Path, text: str) -> Any:
    """The document; Refused where it is no YAML, Unavailable without PyYAML."""
    try:
        import yaml  # type: ignore[import-untyped]
    except ImportError:
        raise Unavailable(
            f"cannot read {file}: compose files need PyYAML (pip install 'postern[host]'); or give the variables as an "
            "env file, as `docker inspect --format '{{range .Config.Env}}{{println .}}{{end}}' CONTAINER` prints them"
        ) from None

    class Texts(yaml.SafeLoader):  # type: ignore[misc]  # it has no types
        """Knows no sort of scalars but texts, and << for what is merged."""

        yaml_implicit_resolvers = {"<": [("tag:yaml.org,2002:merge", re.compile("^<<$"))]}  # noqa: RUF012  # theirs

    Texts.add_multi_constructor("!", lambda _loader, _tag, _node: "")  # !reset and !override say nothing here
    try:
        return yaml.load(text, Texts)  # noqa: S506  # a SafeLoader
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Refused(f"cannot read {file} as YAML: {' '.join(str(error).split())}") from None


def _services(file: Path, document: Any) -> dict[str, dict[str, Any]]:
    """All services, also of the oldest form, in which they stand at the top."""
    found = document.get("services", document) if isinstance(document, dict) else {}
    services = (
        {str(name): each for name, each in found.items() if isinstance(each, dict)} if isinstance(found, dict) else {}
    )
    if not any(key in each for each in services.values() for key in ("image", "build", "environment", "env_file")):
        raise Refused(f"cannot find a service in {file}: is it a compose file, or an env file?")
    return services


def _chosen(file: Path, services: dict[str, dict[str, Any]], service: str, images: str) -> str:
    if service:
        if service not in services:
            raise UsageError(f"cannot find the service {service!r} in {file}: it has {', '.join(sorted(services))}")
        return service
    found = [name for name, each in services.items() if re.search(images, str(each.get("image", "")))]
    found = found or (list(services) if len(services) == 1 else [])
    if len(found) != 1:
        raise UsageError(
            f"cannot tell which service of {file} is meant: say --service NAME, "
            f"one of {', '.join(found or sorted(services))}"
        )
    return found[0]


def _put_in(value: Any, known: dict[str, str]) -> Any:
    """Compose's own interpolation, in all texts."""
    if isinstance(value, dict):
        return {str(key): _put_in(each, known) for key, each in value.items()}
    if isinstance(value, list):
        return [_put_in(each, known) for each in value]
    return _interpolated(value, known) if isinstance(value, str) else value


def _interpolated(text: str, known: dict[str, str]) -> str:
    """$$ is a dollar sign in compose files of any age; a variable that is set nowhere here stays, as ${NAME}."""
    found = put_in(text.replace("$$", "\0"), known)
    return re.sub(r"\$([A-Za-z_]\w*)", r"${\1}", found).replace("\0", "$")


def _environment(given: Any, known: dict[str, str]) -> dict[str, str]:
    """The variables of a list or a mapping; one without a value is passed on from where Compose runs."""
    if isinstance(given, dict):
        pairs = [(str(name), str(value or ""), value in {None, ""}) for name, value in given.items()]
    else:
        pairs = [(name, value, not sign) for name, sign, value in (str(each).partition("=") for each in as_list(given))]
    return {name: known.get(name, "") if bare else unquoted(value) for name, value, bare in pairs}
