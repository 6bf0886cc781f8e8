"""Templates to files: all texts are made before the first file is written, always from the
pristine templates, and each file is replaced whole.

`install/IMAGE/PATH` mirrors the image. What lies below its `run/` is rendered at every start
(`NAME.j2`) or copied (other files); names that begin with `_` are parts that others include.
Where several services share an image, `install/IMAGE/SERVICE/run/` holds what is one's own.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from entrypoint.errors import RenderError
from entrypoint.plan import SECRETS_DIR, write_atomically
from entrypoint.quoting import FILTERS, Quoted
from entrypoint.service import Service

Files = Mapping[Path, str]

_ROOTS = (
    Path("/opt/postern/install"),  # in the images
    Path(__file__).parent.parent / "install",  # in a checkout
    Path(__file__).parent / "install",  # in an installed package
)


def install_dir(image: str) -> Path:
    """Where the templates of an image are; RenderError when they are nowhere."""
    for root in _ROOTS:
        if (root / image).is_dir():
            return root / image
    raise RenderError(f"cannot find the templates of the image {image} in {_ROOTS[0]}")


def render_tree(service: Service[Any], settings: Any) -> Files:
    """All files of the service by absolute path, its secret files included; nothing is written."""
    root = install_dir(service.image)
    environment = _environment(root)
    values = _values(service, settings)
    files = {
        _target(tree, source): _text(environment, root, source, values)
        for tree in (root, root / service.name)
        for source in _sources(tree)
    }
    secrets = service.secrets(settings).items()
    return files | {SECRETS_DIR / name: secret.reveal() for name, secret in secrets}


def write_tree(files: Files, below: Path = Path("/")) -> None:
    """Replace every file, readable for the service's user only."""
    for path, text in files.items():
        target = below / path.relative_to("/")
        try:
            write_atomically(target, text)
        except OSError as error:
            raise RenderError(f"cannot write {target}: {error.strerror}") from error


def _values(service: Service[Any], settings: Any) -> dict[str, Any]:
    fields = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    return fields | {"service": service.name} | dict(service.context(settings))


def _sources(tree: Path) -> Iterator[Path]:
    for source in sorted((tree / "run").rglob("*")):
        hidden = any(part.startswith("_") for part in source.relative_to(tree).parts)
        if source.is_file() and not hidden:
            yield source


def _target(tree: Path, source: Path) -> Path:
    path = Path("/") / source.relative_to(tree)
    return path.with_suffix("") if path.suffix == ".j2" else path


def _text(environment: jinja2.Environment, root: Path, source: Path, values: Mapping[str, Any]) -> str:
    if source.suffix != ".j2":
        return source.read_text(encoding="utf-8")
    name = str(source.relative_to(root))
    try:
        return environment.get_template(name).render(values)
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        where = getattr(error, "name", None) or name
        raise RenderError(f"cannot render {where}: {error}") from error


def _environment(root: Path) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        finalize=_finalize,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # noqa: S701  # not HTML: `finalize` demands the quoting of each syntax
    )
    environment.filters.update(FILTERS)
    return environment


def _finalize(value: object) -> object:
    """Let only quoted texts and numbers through, whatever a template says."""
    if isinstance(value, jinja2.Undefined):
        return value  # StrictUndefined raises when it is printed
    if isinstance(value, Quoted) or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise RenderError(f"cannot print a {type(value).__name__} that went through no quoting filter")
