"""What a service is: its settings and small functions of them. The flow is in `boot`, not here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from entrypoint.errors import UsageError
from entrypoint.plan import SECRETS_DIR, Letter, Measure, Need, Probe, Program
from entrypoint.settings import Secret, concerns
from entrypoint.settings.concerns import Common
from entrypoint.settings.schema import Var, variables

S = TypeVar("S", bound=Common)

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program that is run once before the daemon: to prepare its files, or to check them."""

    argv: tuple[str, ...]
    purpose: str  # "check exim.conf": what a refusal is reported as
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: str = ""
    refused_by: str = ""  # regular expression: words of a refusal in spite of exit code 0
    accepted_by: str = ""  # regular expression: words of a good end in spite of another exit code
    timeout_s: float = 60.0


@dataclass(frozen=True, kw_only=True)
class Service(Generic[S]):
    """One service of the compose file. Each function takes the settings."""

    name: str
    image: str
    # Of the compose file: local, global, or others, which are off unless they are named.
    profiles: tuple[str, ...] = ("local",)
    settings: type[S]
    programs: Callable[[S], tuple[Program, ...]]
    probes: Callable[[S], tuple[Probe, ...]]
    needs: Callable[[S], tuple[Need, ...]] = lambda _settings: ()
    # What the job `look` measures now and then: see entrypoint.measures.
    measures: Callable[[S], tuple[Measure, ...]] = lambda _settings: ()
    # What `health --deep` sends through the whole system, where the mailboxes are.
    letter: Callable[[S], Letter | None] = lambda _settings: None
    checks: Callable[[S], tuple[Command, ...]] = lambda _settings: ()
    prepare: Callable[[S], tuple[Command, ...]] = lambda _settings: ()
    # Names for the templates beside the settings' own fields.
    context: Callable[[S], Mapping[str, Any]] = lambda _settings: {}
    # Files below /run/entrypoint/secrets, for probes and daemons that read a secret from a file.
    secrets: Callable[[S], Mapping[str, Secret]] = lambda _settings: {}
    # Folders on volumes that the daemon writes in.
    writes: tuple[str, ...] = ()
    # Folders of others that the daemon reads itself, and reads again when it is reloaded.
    reads: tuple[str, ...] = ()
    # Host names that the certificate must cover; a service without TLS has none.
    certificate_for: Callable[[S], tuple[str, ...]] = lambda _settings: ()
    # Whether there is anything to do at all. Compose cannot leave out a service for a yes or a no among the variables:
    # one that is switched off has a container in which nothing is run.
    wanted: Callable[[S], bool] = lambda _settings: True

    def for_these(self, settings: S) -> Service[S]:
        """The service as these settings want it: itself, or one of the same name that does nothing."""
        if self.wanted(settings):
            return self
        nothing: dict[str, Any] = dict.fromkeys(("programs", "probes", "needs", "measures", "checks", "prepare"), _none)
        return replace(self, **nothing, writes=(), reads=())


def _none(_settings: Common) -> tuple[()]:
    return ()


def secret_file(name: str) -> str:
    """Where the file of a service's `secrets` with this name is."""
    return str(SECRETS_DIR / name)


def base_env(settings: Common) -> dict[str, str]:
    """The environment that every daemon gets; a service adds what its daemon needs."""
    return {"PATH": PATH, "TZ": settings.tz, "LANG": "C.UTF-8"}


def names() -> list[str]:
    """All services, sorted: one module of entrypoint.services each."""
    package = importlib.import_module("entrypoint.services")
    found = (m.name for m in pkgutil.iter_modules(package.__path__))
    return sorted(name.replace("_", "-") for name in found if not name.startswith("_"))


def find(name: str) -> Service[Any]:
    """The service called `name`; UsageError with the known names otherwise."""
    if name not in names():
        raise UsageError(f"cannot find the service {name!r}: known are {', '.join(names())}")
    module = importlib.import_module(f"entrypoint.services.{name.replace('-', '_')}")
    service: Service[Any] = module.SERVICE
    return service


def known_variables() -> list[Var]:
    """Every variable of every concern."""
    classes = [c for c in vars(concerns).values() if isinstance(c, type) and _is_concern(c)]
    return [v for cls in classes for v in variables(cls).values()]


def _is_concern(cls: type) -> bool:
    return cls.__module__ == concerns.__name__
