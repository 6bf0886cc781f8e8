"""Figures as text for Prometheus and its like (OpenMetrics 1.0)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


class Sample(NamedTuple):
    """One figure of a family, with what tells it from the others."""

    value: float
    labels: Mapping[str, str] = {}


class Family(NamedTuple):
    """Figures of one name, which ends in its unit where it has one; `kind` is gauge, counter or stateset."""

    name: str
    kind: str
    help: str
    samples: Iterable[Sample]
    unit: str = ""


def exposition(families: Iterable[Family], labels: Mapping[str, str]) -> str:
    """The text; each sample has `labels` as well. A family without samples is left out."""
    lines = [line for family in families for line in _lines(family, labels)]
    return "\n".join([*lines, "# EOF", ""])


def _lines(family: Family, common: Mapping[str, str]) -> list[str]:
    name = f"postern_{family.name}"
    suffix = "_total" if family.kind == "counter" else ""
    samples = [f"{name}{suffix}{_labels({**common, **s.labels})} {_number(s.value)}" for s in family.samples]
    if not samples:
        return []
    unit = [f"# UNIT {name} {family.unit}"] if family.unit else []
    return [f"# TYPE {name} {family.kind}", *unit, f"# HELP {name} {family.help.translate(_ESCAPES)}", *samples]


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels.items()) + "}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(float(value))
