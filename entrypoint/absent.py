"""Importing a library without what it imports for nothing: empty modules stand in for that."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from types import ModuleType


class _Absent(ModuleType):
    """A module with every name in it: each stands for a class that nobody makes a value of."""

    __path__: list[str] = []  # noqa: RUF012  # as a package has it

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return type(name, (), {})


@contextlib.contextmanager
def without(*names: str) -> Iterator[None]:
    """Have empty modules under `names`, unless they are there; afterwards they can be imported."""
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update((name, _Absent(name)) for name in absent)
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
