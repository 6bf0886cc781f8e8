"""What is used instead of the standard library's own where each millisecond counts: by the health check, which starts
every few seconds, and by the second stage until the daemons are started.

Measured in the image, of 7 ms that an interpreter takes to do nothing: dataclasses +14, pathlib +9, json +6,
signal +6, contextlib +5, typing +5. None of them is needed to read two files, to ask a few questions, and to start a
process.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # as in typing
if TYPE_CHECKING:
    import signal as signal  # noqa: PLC0414  # for those who import it from here
    from collections.abc import Callable
    from typing import Any
else:
    import _signal as signal  # noqa: F401  # the part that does the work; the rest makes enumerations


class _Value:
    """The methods of a frozen class."""

    def __init__(self, **values: Any) -> None:
        fields: _Fields = vars(type(self))["__light_fields__"]
        if wrong := (values.keys() - fields.names) | (fields.needed - values.keys()):
            raise TypeError(f"{type(self).__name__} has unknown or missing fields: {', '.join(sorted(wrong))}")
        self.__dict__.update(fields.defaults)
        self.__dict__.update(values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(tuple(sorted(vars(self).items())))

    def __setattr__(self, name: str, _value: object) -> None:
        raise AttributeError(f"cannot assign to field {name!r}")  # which FrozenInstanceError is, too


def frozen(**_options: object) -> Callable[[type], type]:
    """`dataclass(frozen=True, kw_only=True)`, for classes whose fields need no factory."""
    return _frozen


def _frozen(cls: type) -> type:
    fields = _Fields(cls)
    methods = {name: method for name, method in vars(_Value).items() if callable(method)}
    for name, value in {**methods, "__light_fields__": fields, "__dataclass_fields__": fields}.items():
        setattr(cls, name, value)
    return cls


class _Fields:
    """`__dataclass_fields__`, made when somebody asks: so dataclasses.replace() and asdict() know the class."""

    def __init__(self, cls: type) -> None:
        self.names = tuple(cls.__annotations__)
        self.defaults = {name: vars(cls)[name] for name in self.names if name in vars(cls)}
        self.needed = frozenset(self.names) - self.defaults.keys()

    def __get__(self, _value: object, cls: type) -> Any:
        import dataclasses

        made = dataclasses.make_dataclass(
            cls.__name__, [(name, object) for name in self.names], namespace=self.defaults, kw_only=True
        )
        return vars(made)["__dataclass_fields__"]


class suppress:  # noqa: N801  # named as in contextlib
    """`contextlib.suppress`."""

    def __init__(self, *kinds: type[BaseException]) -> None:
        self._kinds = kinds

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, self._kinds)


def decode(text: str) -> Any:
    """The value of JSON text; ValueError for what is none."""
    try:
        from _json import make_scanner  # the part of json that does the work
    except ImportError:
        import json

        return json.loads(text)
    stripped = text.strip()
    try:
        value, end = make_scanner(_Scanner)(stripped, 0)  # type: ignore[arg-type]  # takes what has its attributes
    except StopIteration as stop:
        raise ValueError(f"no JSON at character {stop.value}") from None
    if end != len(stripped):
        raise ValueError(f"more than JSON at character {end}")
    return value


class _Scanner:
    """What json.JSONDecoder tells the scanner by default."""

    strict = True
    object_hook = object_pairs_hook = None
    parse_float, parse_int, parse_constant = float, int, float


def encode(value: Any) -> str:
    """JSON text of `value`, on one line."""
    try:
        from _json import encode_basestring_ascii, make_encoder
    except ImportError:
        import json

        return json.dumps(value)
    encoder = make_encoder(None, repr, encode_basestring_ascii, None, ": ", ", ", False, False, True)  # no keywords
    return "".join(encoder(value, 0))


def read_json(path: str) -> Any:
    """What is in the file; OSError, or ValueError when it is not JSON."""
    with open(path, encoding="utf-8") as file:  # noqa: PTH123  # pathlib is what is saved here
        return decode(file.read())


def write_json(path: str, value: Any) -> None:
    """Replace `path`; readers see the old or the new file, whole."""
    aside = f"{path}.{os.getpid()}"
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(encode(value) + "\n")
        os.replace(aside, path)  # noqa: PTH105
    except OSError:
        if os.path.exists(aside):  # noqa: PTH110
            os.unlink(aside)  # noqa: PTH108
        raise
