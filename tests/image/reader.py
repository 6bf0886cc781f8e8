"""Runs in a daemon's image, with its Python: settings in, what its own parser makes of the rendered files out.

One JSON object a line on stdin, {"env": …}, and one back: {"refused": [sentences]}, or {"values": {name: text}} with
what the service's reader below found. It speaks for the daemon, and knows nothing of what was expected.
"""

from __future__ import annotations

import json
import re
import shutil
import socket
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from entrypoint.copies import with_copies
from entrypoint.errors import EntrypointError, ProbeError, SettingsError
from entrypoint.plan import Probe
from entrypoint.probes import ask
from entrypoint.render import render_tree, write_tree
from entrypoint.service import find, known_variables
from entrypoint.settings import read

T = TypeVar("T")
Values = dict[str, str]

PATIENCE_S = 20.0
EXIM = ("/usr/sbin/exim4", "-C", "/run/config/exim.conf")


def main() -> None:
    """Answer until stdin ends."""
    service = find(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(answer(service, json.loads(line)["env"])), flush=True)


def answer(service: Any, env: Mapping[str, str]) -> dict[str, Any]:
    """The mistakes, or the files and what was read back."""
    try:
        settings = with_copies(read(env, service.settings, known=known_variables()).settings)
    except SettingsError as error:
        return {"refused": error.mistakes}
    except EntrypointError as error:
        return {"refused": [str(error)]}
    write_tree(render_tree(service, settings))
    return {"values": READERS[service.name]()}


def said_by(*command: str, stdin: str = "") -> str:
    """What a daemon's program prints; RuntimeError with it when it ends badly."""
    done = subprocess.run(command, input=stdin.encode(), capture_output=True, check=False, timeout=PATIENCE_S * 6)
    text = (done.stdout + done.stderr).decode("utf-8", "backslashreplace")
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{text}")
    return done.stdout.decode("utf-8", "backslashreplace")


# --- Exim


def expanded(*texts: str) -> list[str]:
    """Strings as Exim expands them, each a line of its input."""
    # Behind the sign, since it takes some lines for macros and passes over empty ones.
    said = said_by(*EXIM, "-be", stdin="".join(f"={text}\n" for text in texts))
    return said.removeprefix("> =").removesuffix("\n> \n").split("\n> =")


def exim() -> Values:
    """The free texts in a role's configuration, expanded, and those in the files that it looks things up in."""
    said_by(*EXIM, "-bV")
    config = said_by(*EXIM, "-bP", "config")  # macros replaced, lines joined
    strings = {
        "postgrey_text": _configured(config, r"message += 4\.7\.1 (.*)"),
        "sa_spam_subject": _configured(config, r"add_header += Subject: (.*) \$rh_subject:"),
        **dict(_logins()),
        **{f"question {number}": text for number, text in enumerate(_questions(config))},
    }
    values = dict(zip(strings, expanded(*strings.values()), strict=True))
    for name in [name for name in values if name.startswith("question")]:
        values |= _question(values.pop(name))
    return values


def _configured(config: str, pattern: str) -> str:
    found = re.search(pattern, config)
    return found[1] if found else ""


def _logins() -> Iterator[tuple[str, str]]:
    """What gives the two halves of each login at a relay."""
    file = "/run/config/relay_logins"
    for name, host in (("relay", "relay.example.net"), ("ms", "smtp.office365.com")):
        if Path(file).exists():
            login = f"${{lookup{{{host}}}lsearch{{{file}}}}}"
            yield f"{name}_user", f"${{base64d:${{extract{{1}}{{ }}{{{login}}}}}}}"
            yield f"{name}_password", f"${{base64d:${{extract{{2}}{{ }}{{{login}}}}}}}"


def _questions(config: str) -> Iterator[str]:
    """The text of each look-up in the directory, up to the brace that ends it."""
    for begin in re.finditer(r"\$\{lookup +ldap(?:dn)?\{ *", config):
        end, depth = begin.end(), 1
        while depth:
            depth += {"{": 1, "}": -1}.get(config[end], 0)
            end += 1
        yield config[begin.end() : end - 1]


def _question(text: str) -> Values:
    """The parts of a look-up as they reach Exim's LDAP code."""
    word = r'"(?:[^"\\]|\\.)*"|\S*'
    made = re.fullmatch(
        rf"user=(?P<user>{word}) pass=(?P<password>{word}) connect=5 time=15 "
        r"ldaps?:///(?P<base>[^?]*)\?(?:mail|dn)\?sub\?(?P<filter>.*)",
        text,
    )
    assert made, "the look-up has another shape"
    parts = {"user": _dequoted(made["user"]), "password": _dequoted(made["password"]), "base": unquote(made["base"])}
    return parts | marks(unquote(made["filter"]))


def _dequoted(text: str) -> str:
    """What Exim's LDAP code makes of a value in quotes."""
    return re.sub(r"\\(.)", r"\1", text[1:-1]) if text.startswith('"') else text


def marks(pattern: str) -> Values:
    """The values that these attributes are compared with in a filter (RFC 4515)."""
    found = re.findall(r"\((memberOf|[a-z]+Mark)=([^()]*)\)", pattern)
    return {
        name: re.sub(rb"\\([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), escaped.encode()).decode()
        for name, escaped in found
    }


# --- the others


def imap() -> Values:
    """doveconf's view."""
    names = ("postmaster_address", "ldap_auth_dn", "ldap_auth_dn_password", "ldap_base")
    doveconf = ("/usr/bin/doveconf", "-c", "/run/config/dovecot.conf", "-P")
    everything = said_by(*doveconf, "-n")
    pairs = (line.partition(" = ") for line in said_by(*doveconf, *names).splitlines())
    values = {name: _shown(value) for name, _, value in pairs}
    filters = re.findall(r"filter = (.*)", everything)
    return values | marks("".join(map(_shown, filters)))


def _shown(value: str) -> str:
    """A value as doveconf shows it: in quotes when it has a # in it, or blanks around it; and before the last step.

    In that, variables are put in their places, and Dovecot takes %%{ for %{.
    """
    inner = re.sub(r"\\(.)", r"\1", value[1:-1]) if len(value) > 1 and value[0] == value[-1] == '"' else ""
    quoted = "#" in inner or inner != inner.strip(" \t")
    return (inner if quoted else value).replace("%%{", "%{")


def rspam() -> Values:
    """rspamadm's view of everything that it has read."""
    dump = json.loads(said_by("/usr/bin/rspamadm", "--var=LOCAL_CONFDIR=/run/config", "configdump", "--json"))
    controller = next(worker for worker in _flat(dump["worker"]) if "password" in worker)
    return {
        "redis_password": dump["redis"]["password"],
        "password": controller.get("password", ""),
        "enable_password": controller.get("enable_password", ""),
        "message": dump["greylist"]["message"],
        "subject": dump["actions"].get("subject", ""),
    }


def _flat(workers: Any) -> Iterator[dict[str, Any]]:
    """The sections of all workers: UCL makes lists of objects of lists of them."""
    for each in workers if isinstance(workers, list) else [workers]:
        if "password" in each or not all(isinstance(value, dict | list) for value in each.values()):
            yield each
        else:
            for inner in each.values():
                yield from _flat(inner)


def mail_redis() -> Values:
    """A server with this file, asked for its password by who knows it."""
    socket_file = "/tmp/redis.sock"
    Path(socket_file).unlink(missing_ok=True)
    command = ("/usr/bin/redis-server", "/run/config/redis.conf", "--port", "0", "--unixsocket", socket_file)
    with serving(*command, "--dir", "/tmp", "--appendonly", "no"):
        return {"requirepass": config_get(socket_file)}


def config_get(socket_file: str) -> str:
    """CONFIG GET requirepass, after a login with the secret's file (which the health check has as well)."""
    password = Path("/run/entrypoint/secrets/redis-password").read_bytes()
    with connected(socket_file) as stream:
        for words in ((b"AUTH", password), (b"CONFIG", b"GET", b"requirepass")):
            stream.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words))
        stream.flush()
        logged_in = stream.readline()
        if logged_in != b"+OK\r\n":
            raise RuntimeError(f"redis lets nobody in: {logged_in!r}")
        stream.readline()
        return [bulk(stream) for _ in range(2)][1]


def bulk(stream: Any) -> str:
    """A bulk string of Redis' protocol."""
    size = int(stream.readline()[1:])
    return str(stream.read(size + 2)[:-2].decode())


@contextmanager
def connected(socket_file: str) -> Iterator[Any]:
    """A stream to a socket, as soon as it is served."""
    with socket.socket(socket.AF_UNIX) as client:
        insist(lambda: client.connect(socket_file), OSError)
        with client.makefile("rwb") as stream:
            yield stream


def insist(question: Callable[[], T], failure: type[Exception]) -> T:
    """The first answer that is none of these failures; the last of them after a while."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return question()
        except failure:
            if time.monotonic() > end:
                raise
            time.sleep(0.005)


@contextmanager
def serving(*command: str) -> Iterator[None]:
    """A daemon during the block."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet) as process:
        try:
            yield
        finally:
            process.terminate()


def fetchmail() -> Values:
    """fetchmail logs in, at a server that only listens: on this machine, and without TLS, for which it has no key."""
    config = Path("/run/config/fetchmailrc")
    with socket.create_server(("127.0.0.1", 0)) as server:
        text = re.sub(r"(?m)^ +ssl$", "", config.read_text())
        text = re.sub(r"(?m)^ +sslproto .*$", '    sslproto "" no sslcertck', text)
        text = re.sub(r'via "[^"]*"', 'via "127.0.0.1"', text)
        config.write_text(re.sub(r'service "\d+"', f'service "{server.getsockname()[1]}"', text))
        command = ("/usr/bin/fetchmail", f"--fetchmailrc={config}", "--nosyslog", "--pidfile=/tmp/fetchmail.pid")
        with subprocess.Popen(
            command, env={"FETCHMAILHOME": "/tmp"}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            server.settimeout(PATIENCE_S)
            client, _ = server.accept()
            with client, client.makefile("rwb") as stream:
                words = dict(_pop3(stream))
            process.wait(PATIENCE_S)
    return {"login": words[b"USER"].decode(), "password": words[b"PASS"].decode()}


def _pop3(stream: Any) -> Iterator[tuple[bytes, bytes]]:
    """The commands of a client, up to its password, which is a wrong one."""
    stream.write(b"+OK\r\n")
    stream.flush()
    for line in stream:
        command, _, rest = line.removesuffix(b"\n").removesuffix(b"\r").partition(b" ")
        yield command, rest
        stream.write(b"+OK\r\n" if command == b"USER" else b"-ERR\r\n")
        stream.flush()
        if command == b"PASS":
            return


def mail_dnsmasq() -> Values:
    """What its checker says to the file, and what the server then answers for a name that a test has added."""
    config = "--conf-file=/run/config/dnsmasq.conf"
    said_by("/usr/sbin/dnsmasq", "--test", config)
    lines = Path("/run/config/dnsmasq.conf").read_text(encoding="utf-8").splitlines()
    added = [line.removeprefix("host-record=").split(",") for line in lines if line.endswith(",192.0.2.77")]
    if not added:
        return {}
    with serving("/usr/sbin/dnsmasq", config):
        return {"name": added[0][0], "address": asked(added[0][0])}


def asked(name: str) -> str:
    """The server's answer, as soon as there is one."""
    probe = Probe(kind="dns", host="127.0.0.1", port=53, query=name, timeout_s=1.0)
    return insist(lambda: ask(probe), ProbeError)


def ldap() -> Values:
    """What slaptest makes of the file in slapd's own database of settings; a distinguished name in its plain form."""
    shutil.rmtree("/tmp/slapd.d", ignore_errors=True)
    Path("/tmp/slapd.d").mkdir()
    said_by("/usr/sbin/slaptest", "-u", "-f", "/run/config/slapd.conf")
    # It writes what it has read before it finds that there is no database.
    convert = ("/usr/sbin/slaptest", "-f", "/run/config/slapd.conf", "-F", "/tmp/slapd.d")
    subprocess.run(convert, capture_output=True, check=False, timeout=PATIENCE_S)
    (file,) = Path("/tmp/slapd.d/cn=config").glob("olcDatabase=*null.ldif")
    lines = file.read_text(encoding="utf-8").replace("\n ", "").splitlines()
    found = dict(line.split(":", 1) for line in lines if ":" in line)
    return {name: _unescaped(_ldif(found[f"olc{name}"])) for name in ("Suffix", "RootDN")}


def _ldif(value: str) -> str:
    """A value of an LDIF line (RFC 2849)."""
    return b64decode(value[1:]).decode() if value.startswith(":") else value.strip()


def _unescaped(name: str) -> str:
    """A distinguished name without its escapes (RFC 4514): only to be compared."""
    pairs = re.sub(rb"\\([0-9A-Fa-f]{2}|.)", lambda m: bytes.fromhex(m[1].decode()) if m[1].isalnum() and len(m[1]) == 2
                   else m[1], name.encode())  # fmt: skip
    return pairs.decode()


READERS: Mapping[str, Callable[[], Values]] = {
    "exim-external": exim,
    "exim-int-mailout": exim,
    "exim-ext-mailout": exim,
    "fetchmail": fetchmail,
    "imap": imap,
    "ldap": ldap,
    "mail-dnsmasq": mail_dnsmasq,
    "mail-redis": mail_redis,
    "rspam": rspam,
}

if __name__ == "__main__":
    main()
