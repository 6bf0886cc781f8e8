"""What an empty directory begins with: the suffix, where people are, and the group of those who may use mail.

Further entries may come from an LDIF file (the demo's members); what it has itself is left to it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from entrypoint.accounts import dn
from entrypoint.errors import CheckError
from entrypoint.quoting import ldif
from entrypoint.settings.concerns import Directory

# What an entry is whose name begins so.
_CLASSES = {
    "cn": ("organizationalRole",),
    "dc": ("dcObject", "organization"),
    "o": ("organization",),
    "ou": ("organizationalUnit",),
}
_DN_LINE = re.compile(r"(?im)^dn:(:?) *(.*)$")


def first_entries(settings: Directory, organisation: str, others: str) -> str:
    """LDIF of what a new directory needs and `others`, LDIF too, do not have; "" when they have everything."""
    there = set(names(others))
    wanted = {dn.same(name): entry for name, entry in _entries(settings, organisation)}
    return "\n".join(entry for name, entry in wanted.items() if name not in there)


def _entries(settings: Directory, organisation: str) -> Iterator[tuple[str, str]]:
    """Each after the one above it."""
    folders = [*_branch(settings.ldap_base, settings), *_branch(dn.parent(settings.ldap_group), settings)]
    for name in folders:
        yield name, _folder(name, organisation)
    # A group must have a member (RFC 4519, 3.5): where people are, which is nobody.
    (_, value), *_ = dn.parts(settings.ldap_group)
    group = {"objectClass": ("groupOfNames",), "cn": (value,), "member": (settings.ldap_base,)}
    yield settings.ldap_group, _entry(settings.ldap_group, group)


def _branch(name: str, settings: Directory) -> list[str]:
    """The suffix, and all below it down to `name`."""
    found = [name]
    while dn.same(found[0]) != dn.same(settings.ldap_suffix):
        found.insert(0, dn.parent(found[0]))
    return found


def _folder(name: str, organisation: str) -> str:
    (attribute, value), *_ = dn.parts(name)
    if attribute not in _CLASSES:
        raise CheckError(
            f"cannot make {name} in the empty directory: its name begins with {attribute}=; accepted are "
            f"{', '.join(f'{known}=' for known in _CLASSES)}, for example ou=people,dc=example,dc=org"
        )
    more = {"o": (organisation,)} if attribute == "dc" else {}
    return _entry(name, {"objectClass": _CLASSES[attribute], attribute: (value,), **more})


def _entry(name: str, attributes: Mapping[str, Iterable[str]]) -> str:
    lines = [f"dn:{ldif(name)}", *(f"{a}:{ldif(text)}" for a, texts in attributes.items() for text in texts)]
    return "".join(f"{line}\n" for line in lines)


def names(text: str) -> Iterator[tuple[tuple[str, str], ...]]:
    """The names of the entries in an LDIF text (RFC 2849); what cannot be read is slapadd's to complain about."""
    for encoded, value in _DN_LINE.findall(re.sub(r"\r?\n ", "", text)):
        try:
            yield dn.same(base64.b64decode(value).decode() if encoded else value)
        except ValueError:
            continue


def given_members(file: Path, *, needed: bool) -> str:
    """The text of the LDIF file with further entries, or "" for none; CheckError, with the variable, for no file."""
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        if not needed:
            return ""
        why = "there is no such file"
    except IsADirectoryError:
        why = "it is a folder: is there a file on the host where LDAP_MEMBERS_FILE says?"
    except UnicodeDecodeError:
        why = "it is not UTF-8 text"
    except OSError as error:
        why = str(error.strerror)
    raise CheckError(f"cannot read LDAP_MEMBERS={file}: {why}")
