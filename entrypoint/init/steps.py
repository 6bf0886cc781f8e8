"""What is left to do for a person after `init`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from entrypoint.init.answers import Answers

_DATA = "vmail,redis,rspam,exim-external,exim-int-mailout,exim-ext-mailout"


def next_steps(answers: Answers, folder: Path, notes: Sequence[str]) -> Iterator[str]:
    """In the order in which they are done."""
    yield from notes
    yield from _certificate(answers)
    yield (
        f"make folders for the state, as root: mkdir -p /data/{answers.domain}/{{{_DATA}}} && "
        f"chgrp -R 0 /data/{answers.domain} && chmod -R g+rwX /data/{answers.domain}"
    )
    address = "" if answers.addresses else " --address ADDRESS"
    yield (
        f"publish the DNS records in {folder / 'dns.zone'}; whether they are there, says: "
        f"entrypoint doctor dns --env-file .env{address}"
    )
    yield "start it: docker compose up -d, and look: docker compose ps"
    if answers.directory.embedded:
        yield f"add members: entrypoint account add alice@{answers.domain}"
    else:
        yield f"look whether members are found: entrypoint doctor ldap alice@{answers.domain} --env-file .env"


def _certificate(answers: Answers) -> Iterator[str]:
    if answers.certificate.self_made:
        yield "give secrets/ca.pem to whoever tries it, or get a real certificate (docs/how-to/certificates.md)"
        return
    try:
        state = Path(answers.certificate.key).stat()
    except OSError:
        return
    if state.st_gid or not state.st_mode & 0o040:
        key = os.path.realpath(answers.certificate.key)
        yield f"let containers, which run in group 0, read the key: chgrp 0 {key} && chmod 640 {key}"
