"""Templates to files: all texts are made before the first file is written, always from the
pristine templates, and each file is replaced whole.

`install/IMAGE/PATH` mirrors the image. What lies below its `run/` is rendered at every start
(`NAME.j2`) or copied (other files); names that begin with `_` are parts that others include.
Where several services share an image, `install/IMAGE/SERVICE/run/` holds what is one's own.
"""

from __future__ import annotations

import dataclasses
import sys
import traceback
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
    Path(sys.prefix) / "share/postern/install",  # where pip puts it
)


def install_dir(image: str) -> Path:
    """Where the templates of an image are; RenderError when they are nowhere."""
    for root in _ROOTS:
        if (root / image).is_dir():
            return root / image
    raise RenderError(f"cannot find the templates of the image {image}: not in {', '.join(map(str, _ROOTS))}")


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
    name = str(source.relative_to(root))
    try:
        return environment.get_template(name).render(values) if source.suffix == ".j2" else source.read_text("utf-8")
    except (jinja2.TemplateError, ValueError, TypeError) as error:
        raise RenderError(f"cannot render {_place(error, name)}: {error}") from error


def _place(error: Exception, name: str) -> str:
    """The template, perhaps an included one, and the line of it: jinja2 has them in the traceback."""
    if isinstance(error, jinja2.TemplateSyntaxError):
        return f"{error.name or name}, line {error.lineno}"
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(".j2")]
    return f"{_shortened(frames[-1].filename, name)}, line {frames[-1].lineno}" if frames else name


def _shortened(file: str, name: str) -> str:
    """`file` below the folder that `name` is in, too, without what leads there."""
    return next((file.removeprefix(f"{root}/") for root in _ROOTS if file.startswith(f"{root}/")), name)


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
    raise TypeError(f"a {type(value).__name__} went through no quoting filter")
