"""The certificates and keys that a service is about to use: readable, in date, for its names, with their keys.

A daemon would start with an expired or foreign certificate and fail at the first client; this is
found out before. openssl reads what is in a certificate, as Python's ssl tells that only of peers.
"""

from __future__ import annotations

import re
import ssl
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from entrypoint.copies import dkim_keys
from entrypoint.errors import CheckError
from entrypoint.service import PATH
from entrypoint.settings.concerns import SYSTEM_CA, Exim, Fetchmail, Ldap, Smarthost, Tls, Trust

SOON_DAYS = 14
DAY_S = 86_400
_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)

# What a person sets in .env for the file that a variable names in the container.
ON_THE_HOST = {
    "TLS_CERTIFICATE": "TLS_FULLCHAIN_FILE",
    "TLS_KEY": "TLS_PRIVKEY_FILE",
    "TLS_CA": "TLS_CA_FILE",
    "LDAP_CA": "TLS_CA_FILE",
    "FETCHMAIL_CA": "TLS_CA_FILE",
    "DKIM_KEYS": "DKIM_PRIVKEY_FILE",
}


def check_files(settings: object) -> None:
    """CheckError for the first file of authorities or DKIM keys that the service could not use."""
    if isinstance(settings, Trust):
        check_authorities("TLS_CA", settings.tls_ca)
    if isinstance(settings, Ldap):
        check_authorities("LDAP_CA", settings.ldap_ca)
    if isinstance(settings, Fetchmail):
        check_authorities("FETCHMAIL_CA", settings.fetchmail_ca)
    if isinstance(settings, Smarthost) and isinstance(settings, Exim) and settings.exim_dkim_selector:
        for path in _needed_dkim_keys(settings, settings.exim_local_domains):
            check_key("DKIM_KEYS", path)


def check_certificate(tls: Tls, hosts: tuple[str, ...]) -> None:
    """CheckError that names the variable, the file and the cure."""
    for refusal in refusals(tls, hosts):
        raise refusal


def refusals(tls: Tls, hosts: tuple[str, ...]) -> Iterator[CheckError]:
    """Everything against certificate and key; only the files, as long as they are not what they should be."""
    try:
        certificate = _read("TLS_CERTIFICATE", tls.tls_certificate)
        if "-----BEGIN CERTIFICATE-----" not in certificate:
            raise _refusal("TLS_CERTIFICATE", tls.tls_certificate, "it has no certificate in PEM")
        check_key("TLS_KEY", tls.tls_key)
    except CheckError as refusal:
        yield refusal
        return
    for check in (_check_pair, _check_dates, lambda pair: _check_names(pair, hosts), _check_order):
        try:
            check(tls)
        except CheckError as refusal:
            yield refusal


def expiry(tls: Tls) -> float:
    """When the certificate ends to be valid, in seconds since the epoch."""
    return float(ssl.cert_time_to_seconds(_dates(tls)["notAfter"]))


def doubts(tls: Tls) -> Iterator[str]:
    """What may be meant so, and is worth a warning: an end that is near, an authority that is not known here."""
    days = (expiry(tls) - time.time()) / DAY_S
    if days <= SOON_DAYS:
        yield f"TLS_CERTIFICATE={tls.tls_certificate} expires in {int(days)} days: renew it"
    # Who checks nobody by TLS_CA cannot know an own authority.
    if isinstance(tls, Trust) and (words := _doubt_of_issuer(tls, tls.tls_ca)):
        yield (
            f"TLS_CERTIFICATE={tls.tls_certificate} is of no authority that the system or TLS_CA knows ({words}): "
            "unless it is of an own one, the chain is not complete"
        )


def check_authorities(variable: str, path: str) -> None:
    """CheckError unless this file has certificates of authorities."""
    if path == SYSTEM_CA:
        return  # Debian's own, and large
    _read(variable, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise _refusal(variable, path, "it has no certificate in PEM") from None


def _needed_dkim_keys(settings: Smarthost, domains: tuple[str, ...]) -> Iterator[str]:
    """The one key file, which has to be there, or those of the domains that have one in the folder."""
    place = settings.dkim_keys
    if not Path(place).is_dir():
        yield place
        return
    keys = [path for _, path in dkim_keys(settings)]
    if not keys:
        wanted = " or ".join(f"{domain}.pem" for domain in domains)
        raise _refusal("DKIM_KEYS", place, f"there is no {wanted} in it; without EXIM_DKIM_SELECTOR none is needed")
    yield from keys


def _read(variable: str, path: str) -> str:
    try:
        text = Path(path).read_text(encoding="latin-1")
    except OSError as error:
        cure = f"mount it there, readable for group 0 (in .env: {ON_THE_HOST[variable]}), or name another file"
        raise CheckError(f"cannot read {variable}={path}: {error.strerror}; {cure}") from None
    if not text.strip():
        raise _refusal(variable, path, f"it is empty; set {ON_THE_HOST[variable]} in .env to the file on the host")
    return text


def check_key(variable: str, path: str) -> None:
    """CheckError unless this file has a private key without a passphrase."""
    if "PRIVATE KEY-----" not in _read(variable, path):
        raise _refusal(variable, path, "it has no private key in PEM")
    done = _openssl("pkey", "-noout", "-in", path, "-passin", "pass:")
    if done.returncode:
        raise _refusal(variable, path, "openssl cannot read the key; is it complete, and without a passphrase?")


def _check_pair(tls: Tls) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(tls.tls_certificate, tls.tls_key, password="")
    except ssl.SSLError as error:
        reason = str(error.reason or error).replace("_", " ").lower()
        why = "the key is that of another certificate" if "mismatch" in reason else f"openssl refuses them: {reason}"
        raise _refusal("TLS_CERTIFICATE", tls.tls_certificate, f"with TLS_KEY={tls.tls_key}, {why}") from None


def _check_dates(tls: Tls) -> None:
    dates = _dates(tls)
    begin, end = dates["notBefore"], dates["notAfter"]
    if ssl.cert_time_to_seconds(end) <= time.time():
        raise _refusal("TLS_CERTIFICATE", tls.tls_certificate, f"it expired on {end}; renew it and start again")
    if ssl.cert_time_to_seconds(begin) > time.time():
        why = f"it is not valid before {begin}; is the clock of this machine right?"
        raise _refusal("TLS_CERTIFICATE", tls.tls_certificate, why)


def _check_names(tls: Tls, hosts: tuple[str, ...]) -> None:
    strange = [host for host in hosts if "does match" not in _ask(tls, "-checkhost", host)]
    if strange:
        names = " ".join(
            line.strip().replace("DNS:", "") for line in _ask(tls, "-ext", "subjectAltName").splitlines()[1:]
        )
        why = f"it is not for {' and '.join(strange)}, but for {names or 'no host'}; get one that has all names"
        raise _refusal("TLS_CERTIFICATE", tls.tls_certificate, why)


def _dates(tls: Tls) -> dict[str, str]:
    return dict(line.split("=", 1) for line in _ask(tls, "-startdate", "-enddate").splitlines())


def _check_order(tls: Tls) -> None:
    """Each certificate of the file is issued by the next one: many clients look for nothing else."""
    with _chain(tls) as files:
        for one, issuer in pairwise(files):
            # Their times are of no interest here: a chain may end with an old cross-signature that nobody needs.
            if _openssl("verify", "-no_check_time", "-partial_chain", "-trusted", issuer, one).returncode:
                why = f"in it, {_subject(one)} is followed by {_subject(issuer)}, which has not issued it"
                cure = "first comes the server's own certificate, then the issuer of each"
                raise _refusal("TLS_CERTIFICATE", tls.tls_certificate, f"{why}; {cure}")


def _doubt_of_issuer(tls: Tls, authorities: str) -> str:
    """What openssl has against the chain; nothing when it ends at an authority that is known."""
    with _chain(tls) as files:
        rest = [word for file in files[1:] for word in ("-untrusted", file)]
        known = [word for file in {SYSTEM_CA, authorities} if Path(file).exists() for word in ("-trusted", file)]
        done = _openssl("verify", *known, *rest, files[0])
    found = re.search(r"error \d+ at \d+ depth lookup: (.+)", done.stderr)
    return "" if done.returncode == 0 else found[1] if found else "openssl refuses it"


@contextmanager
def _chain(tls: Tls) -> Iterator[Sequence[str]]:
    """The certificates of the file in files of their own, as openssl wants them."""
    text = Path(tls.tls_certificate).read_text(encoding="ascii", errors="replace")
    with TemporaryDirectory() as folder:
        found = {f"{folder}/{number}.pem": block for number, block in enumerate(_CERTIFICATE.findall(text))}
        for file, block in found.items():
            Path(file).write_text(block, encoding="ascii")
        yield list(found)


def _subject(file: str) -> str:
    return (
        _openssl("x509", "-noout", "-subject", "-nameopt", "RFC2253", "-in", file)
        .stdout.strip()
        .removeprefix("subject=")
    )


def _ask(tls: Tls, *question: str) -> str:
    return _openssl("x509", "-noout", "-in", tls.tls_certificate, *question).stdout


def _openssl(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["openssl", *arguments],
        env={"PATH": PATH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def _refusal(variable: str, path: str, why: str) -> CheckError:
    return CheckError(f"cannot use {variable}={path}: {why}")
