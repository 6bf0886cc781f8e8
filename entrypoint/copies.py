"""What others write and daemons need: certificates, keys, authorities, DKIM keys, copied below /run/tls.

A daemon that read the mounted files itself would take a bad new pair at once. It gets copies, which are
replaced after the files have been looked at, and by a pair in one file, which changes in one moment.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrypoint.errors import CheckError
from entrypoint.generated import wanted
from entrypoint.service import Service
from entrypoint.settings.concerns import SYSTEM_CA, Exim, Fetchmail, Ldap, Smarthost, Tls, Trust
from entrypoint.settings.schema import variables
from entrypoint.watch import signature

FOLDER = Path("/run/tls")
PAIR = FOLDER / "pair.pem"


def with_copies(settings: Any) -> Any:
    """The settings, with the names of the copies in the places of those of the originals."""
    names = {field: str(copy) for field, _, copy in _authorities(settings)}
    if isinstance(settings, Tls):
        names |= {"tls_certificate": str(PAIR), "tls_key": str(PAIR)}
    return replace(settings, **names)


def copies(settings: Any) -> Mapping[Path, str]:
    """The copies of what the settings name."""
    found = {copy: _pem(original) for _, original, copy in _authorities(settings)}
    if isinstance(settings, Tls):
        found[PAIR] = _pem(settings.tls_certificate) + _pem(settings.tls_key)
    return found | {dkim_copy(domain): _pem(original) for domain, original in dkim_keys(settings)}


def _authorities(settings: Any) -> Iterator[tuple[str, str, Path]]:
    """Field, file and copy; the system's own authorities need none."""
    for concern, field in ((Trust, "tls_ca"), (Ldap, "ldap_ca"), (Fetchmail, "fetchmail_ca")):
        if isinstance(settings, concern) and (original := getattr(settings, field)) != SYSTEM_CA:
            yield field, original, FOLDER / f"{field}.pem"


def dkim_keys(settings: Any) -> Iterator[tuple[str, str]]:
    """Domains with the file of their DKIM key: DOMAIN.pem in the folder, or the one file for all."""
    if not (isinstance(settings, Smarthost) and isinstance(settings, Exim) and settings.exim_dkim_selector):
        return
    place = Path(settings.dkim_keys)
    for domain in settings.exim_local_domains:
        key = place / f"{domain}.pem" if place.is_dir() else place
        if key.exists():
            yield domain, str(key)


def dkim_copy(domain: str) -> Path:
    """Where the copy of a domain's DKIM key is."""
    return FOLDER / "dkim" / f"{domain}.pem"


def _pem(path: str) -> str:
    """The text of a PEM file. What stands around the blocks may be in any encoding, and is of no use."""
    try:
        return Path(path).read_text(encoding="ascii", errors="replace").rstrip("\n") + "\n"
    except OSError as error:
        raise CheckError(f"cannot read {path}: {error.strerror}") from None


def secret_files(service: Service[Any], env: Mapping[str, str]) -> list[str]:
    """The files that NAME_FILE variables of the service name, and those of secrets that were made."""
    found = variables(service.settings).values()
    names = (name for v in found if v.secret for name in v.spellings() if name.endswith("_FILE"))
    return [*(env[name] for name in names if "/" in env.get(name, "")), *(str(v.file) for v in wanted(service, env))]


def originals(service: Service[Any], settings: Any) -> list[str]:
    """The files and folders of others that the copies are made of, or that the daemon reads itself."""
    found = [original for _, original, _ in _authorities(settings)]
    if isinstance(settings, Tls):
        found += [settings.tls_certificate, settings.tls_key]
    if isinstance(settings, Smarthost) and settings.exim_dkim_selector:
        found.append(settings.dkim_keys)
    return [*found, *service.reads]


def signatures(paths: list[str]) -> dict[str, str]:
    """How each path is now."""
    return {path: signature(path) for path in paths}


def insist_on_same(watch: Mapping[str, str]) -> None:
    """CheckError when what was looked at may not be what was copied."""
    for path, before in watch.items():
        if signature(path) != before:
            raise CheckError(f"cannot use {path}: somebody is changing it; try again when that is done")
