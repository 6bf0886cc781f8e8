"""Certificates for tests, made by openssl: good ones, and each way to be bad."""

from __future__ import annotations

import ssl
import subprocess
from pathlib import Path

_CA_CONFIG = """
[ca]
default_ca = tests
[tests]
database = index.txt
new_certs_dir = .
default_md = sha256
policy = anything
copy_extensions = copy
unique_subject = no
rand_serial = yes
[anything]
commonName = supplied
"""

LOCALHOST = "DNS:localhost,IP:127.0.0.1"
FAR = "21000101000000Z"


class Authority:
    """A certificate authority in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.ca_file = folder / "ca.pem"
        (folder / "ca.cnf").write_text(_CA_CONFIG)
        (folder / "index.txt").touch()
        self._openssl(
            "req", "-x509", *self._key("ca.key"), "-out", "ca.pem", "-subj", f"/CN={folder.name}", "-days", "2"
        )

    def server(self, names: str = LOCALHOST, *, ends: str = FAR) -> ssl.SSLContext:
        """A server's TLS with a certificate for `names` that is valid until `ends`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.certificate(names, ends=ends))
        return context

    def certificate(
        self, names: str = LOCALHOST, *, begins: str = "20000101000000Z", ends: str = FAR
    ) -> tuple[Path, Path]:
        """The files of a certificate for `names`, and of its key."""
        name = f"server{len(list(self._folder.iterdir()))}"
        ask = ("-out", f"{name}.csr", "-subj", "/CN=postern-test", "-addext", f"subjectAltName={names}")
        self._openssl("req", *self._key(f"{name}.key"), *ask)
        times = ("-startdate", begins, "-enddate", ends)
        sign = (
            "-config",
            "ca.cnf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            f"{name}.csr",
            "-out",
            f"{name}.pem",
        )
        self._openssl("ca", "-batch", "-notext", *times, *sign)
        return self._folder / f"{name}.pem", self._folder / f"{name}.key"

    def intermediate(self, folder: Path) -> Authority:
        """Another authority, in a folder of its own, whose certificate is signed by this one."""
        made = Authority(folder)
        ask = ("-key", "ca.key", "-subj", f"/CN={folder.name}", "-addext", "basicConstraints=critical,CA:TRUE")
        made._openssl("req", "-new", *ask, "-out", "ca.csr")
        sign = ("-CA", str(self.ca_file), "-CAkey", str(self._folder / "ca.key"), "-copy_extensions", "copy")
        made._openssl("x509", "-req", "-in", "ca.csr", *sign, "-days", "2", "-out", "ca.pem")
        return made

    def _key(self, name: str) -> tuple[str, ...]:
        return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", name)

    def _openssl(self, *arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=self._folder, check=True, capture_output=True)
