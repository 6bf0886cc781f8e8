"""What a container's start costs until its process becomes the supervisor, in the exim image and as its user.

All is done that is done there, with full validation and Exim's own checks; only nothing is waited for. Beside it is
what one would write instead, which fills in as many values and checks nothing: a shell entrypoint with one `sed -i` for
each or, at its best, one for all; a script with four Jinja templates; and the interpreter that does nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks import start_inside
from benchmarks.compare import Row, Say, Table
from tools.commands import ROOT
from tools.console import ToolError
from tools.demo.keys import make_authority, make_certificate

UNITS = {"own": "CPU of it alone", "cpu": "CPU with all that it runs", "wall": "time"}
ENV = {
    "DOMAIN": "example.org",
    "LDAP_HOSTS": "ldap1.example.org ldap2.example.org",
    "LDAP_USER": "cn=mail,ou=services,dc=example,dc=org",
    "LDAP_PASSWORD": "not-a-secret",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
    "TLS_CERTIFICATE": "/keys/server.pem",
    "TLS_KEY": "/keys/server.key",
    "TLS_CA": "/keys/ca.pem",
}
HARDENED = ("--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges:true", "--network=none", "--user=5025:0")


def measure(runs: int, say: Say) -> Table:
    """Ours beside the others; without the image there are no figures, and the table says so."""
    image = f"postern-exim:{os.environ.get('POSTERN_VERSION', 'dev')}"
    say(f"{runs} runs in {image}")
    columns = list(start_inside.COLUMNS)
    try:
        found = _inside(image, runs)
    except OSError:
        return Table(suite="start", columns=columns, rows=[], notes=["not measured: there is no docker here"])
    except LookupError:
        return Table(suite="start", columns=columns, rows=[], notes=[f"not measured: no {image} here (make images)"])
    rows = [
        Row(measure=words, unit="ms", values={name: [run[figure] for run in found[name]] for name in columns})
        for figure, words in UNITS.items()
    ]
    return Table(suite="start", columns=columns, rows=rows)


def _inside(image: str, runs: int) -> Mapping[str, list[dict[str, float]]]:
    """What start_inside.py prints in the image; LookupError without it, ToolError when it fails."""
    if subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False).returncode:
        raise LookupError(image)
    with TemporaryDirectory() as name:
        keys = Path(name)
        make_authority(keys, "Benchmark CA")
        make_certificate(keys, ["DNS:mail.example.org"])
        keys.chmod(0o755)
        for file in keys.iterdir():
            file.chmod(0o644)
        places = (
            *("--tmpfs=/run:mode=0775", "--tmpfs=/tmp:mode=1777", "--volume=/var/spool/exim"),
            *(f"--volume={keys}:/keys:ro", f"--volume={ROOT}/benchmarks/start_inside.py:/start_inside.py:ro"),
        )
        variables = (f"--env={name}={value}" for name, value in ENV.items())
        command = [
            "docker",
            "run",
            "--rm",
            *HARDENED,
            *places,
            *variables,
            f"--entrypoint={start_inside.PYTHON}",
            image,
        ]
        done = subprocess.run([*command, "/start_inside.py", str(runs)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ToolError(f"cannot measure the start: {done.stderr.strip()[-500:]}")
    found: Mapping[str, list[dict[str, float]]] = json.loads(done.stdout)
    return found
