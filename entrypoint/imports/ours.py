"""Our own variables, by every spelling, as imports look at them."""

from __future__ import annotations

from collections.abc import Mapping

from entrypoint.service import known_variables, names
from entrypoint.settings.schema import Var

BY_NAME: Mapping[str, Var] = {spelling: v for v in known_variables() for spelling in (v.name, *v.old)}
_LAST = "_FILE"


def services() -> list[str]:
    """The services that there are."""
    return names()


def refusal(name: str, value: str) -> str:
    """Why our variable does not take this value; "" when it does, or when it is a path."""
    v = BY_NAME.get(name)
    if v is None:
        return "" if name.endswith(_LAST) and BY_NAME[name.removesuffix(_LAST)].secret else f"{name} is not known"
    try:
        v.kind.parse(value)
    except ValueError as error:
        return f"{name} takes {v.accepts()}; this {error if not v.secret else 'is none'}"
    return ""


def is_secret(name: str) -> bool:
    """Whether the variable itself holds a secret."""
    return name in BY_NAME and BY_NAME[name].secret
