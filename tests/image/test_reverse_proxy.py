"""rspamd's console on a port of this machine, and behind the reverse proxies of docs/how-to/reverse-proxy.md."""

from __future__ import annotations

import http.client
import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.containers import Container, container, docker, network, prefix, wait_until
from tests.image.test_init import composed
from tests.image.test_rspam import ENV
from tests.unit.authority import Authority

# The first test waits until Debian's packages are there.
pytestmark = [pytest.mark.image, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/how-to/reverse-proxy.md").read_text()
IMAGE = "postern-proxy:test"
NET = prefix(6)
NAME = "rspam.example.org"
PAIR = ("/etc/letsencrypt/live/example.org/fullchain.pem", "/etc/letsencrypt/live/example.org/privkey.pem")
REFUSED = {401, 403}


def example(language: str, number: int = 0) -> str:
    """A block of the page, with rspam's own address in the place of the published port's."""
    block = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[number]
    assert "127.0.0.1:11334" in block
    return str(block).replace("127.0.0.1:11334", f"{NET}.6:11334")


@pytest.fixture(scope="module")
def net() -> Iterator[str]:
    with network(f"{NET}.0/24") as name:
        yield name


@pytest.fixture(scope="module")
def rspam(net: str) -> Iterator[Container]:
    """With its console on a port of this machine, as in the compose file."""
    env = ENV | {"REDIS_IP": f"{NET}.4", "RSPAM_password": "look", "RSPAM_enable_password": "change"}
    at = [f"--network={net}"]
    with container("redis", env=env, options=[*at, f"--ip={NET}.4"]) as redis:
        redis.wait_healthy()
        options = [*at, f"--ip={NET}.6", "--user=5011:0", "--publish=127.0.0.1::11334"]
        with container("rspamd", env=env, options=options) as running:
            running.wait_healthy()
            yield running


def asked(connection: http.client.HTTPConnection, path: str, headers: Mapping[str, str]) -> int:
    """The status of the answer."""
    with closing(connection):
        connection.request("GET", path, headers=dict(headers))
        return connection.getresponse().status


def test_the_console_is_on_a_port_of_this_machine_and_wants_its_password(rspam: Container) -> None:
    where, _, port = docker("port", rspam.name, "11334").strip().rpartition(":")
    assert where == "127.0.0.1"

    def ask(path: str, **headers: str) -> int:
        return asked(http.client.HTTPConnection(where, int(port), timeout=30), path, headers)

    assert ask("/") == 200
    assert ask("/stat", Password="look") == 200
    assert ask("/stat") in REFUSED
    assert ask("/stat", Password="guessed") in REFUSED
    for liar in ("127.0.0.1", "::1"):
        assert ask("/stat", **{"X-Forwarded-For": liar}) in REFUSED


class _Named(http.client.HTTPSConnection):
    """HTTPS at an address, for a name."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        super().__init__(NAME, timeout=30, context=context)
        self._address, self._tls = address, context

    def connect(self) -> None:
        plain = socket.create_connection((self._address, 443), self.timeout)
        self.sock = self._tls.wrap_socket(plain, server_hostname=NAME)


NGINX_PATH = f"""server {{
    listen 443 ssl;
    ssl_certificate {PAIR[0]};
    ssl_certificate_key {PAIR[1]};
    {example("nginx", 1)}
}}
"""
PROXIES = {
    "nginx": ("/etc/nginx/conf.d/rspam.conf", example("nginx"), "exec nginx -g 'daemon off;'", ""),
    "nginx below a path": ("/etc/nginx/conf.d/rspam.conf", NGINX_PATH, "exec nginx -g 'daemon off;'", "/rspam"),
    "apache": ("/etc/apache2/sites-enabled/rspam.conf", example("apache"), "exec apachectl -D FOREGROUND", ""),
    "caddy": (
        "/etc/caddy/Caddyfile",
        example("caddy").replace("{\n", f"{{\n    tls {' '.join(PAIR)}\n", 1),
        "exec caddy run --config /etc/caddy/Caddyfile",
        "",
    ),
}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, str(Path(__file__).parent / "proxy")], check=True)
    return Authority(tmp_path_factory.mktemp("proxy") / "authority")


@contextmanager
def proxy(which: str, net: str, authority: Authority, folder: Path) -> Iterator[str]:
    """One of PROXIES; its address."""
    file, text, command, _ = PROXIES[which]
    (folder / "file").write_text(text)
    pair = authority.certificate(f"DNS:{NAME}")
    mounts = {file: folder / "file", **dict(zip(PAIR, pair, strict=True))}
    name = f"postern-test-{os.getpid()}-proxy"
    volumes = [f"--volume={path}:{target}:ro" for target, path in mounts.items()]
    try:
        docker("run", "--detach", "--name", name, f"--network={net}", *volumes, IMAGE, "sh", "-c", command)
        yield Container(name).address()
    except BaseException:
        print(docker("logs", name, check=False))
        raise
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


@pytest.mark.parametrize("which", PROXIES)
def test_the_console_works_behind_a_proxy(
    which: str, net: str, rspam: Container, authority: Authority, tmp_path: Path
) -> None:
    """The page's own example: page, script and password; and no way in without the password."""
    assert rspam.state()["Running"]
    below = PROXIES[which][-1]
    trust = ssl.create_default_context(cafile=str(authority.ca_file))
    with proxy(which, net, authority, tmp_path) as address:

        def ask(path: str, **headers: str) -> int:
            return asked(_Named(address, trust), f"{below}{path}", headers)

        def is_up() -> bool:
            try:
                return ask("/") == 200
            except OSError:
                return False

        wait_until(is_up, 60, f"{which} answers")
        assert ask("/js/main.js") == 200
        assert ask("/stat", Password="look") == 200
        assert ask("/stat") in REFUSED
        assert ask("/stat", **{"X-Forwarded-For": "127.0.0.1"}) in REFUSED


def labels(folder: Path, **env: str) -> tuple[Any, Any]:
    """Labels and published ports of rspam, as Compose has them with these variables."""
    settings = {"DOMAIN": "example.org"} | env
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    service = composed(folder)["services"]["rspam"]
    return service["labels"], service["ports"]


def test_by_default_the_port_is_for_this_machine_and_traefik_sees_nothing(tmp_path: Path) -> None:
    found, (port,) = labels(tmp_path)
    assert found["traefik.enable"] == "false"
    assert (port["host_ip"], port["published"], port["target"]) == ("127.0.0.1", "11334", 11334)


def test_traefik_is_told_name_port_and_network(tmp_path: Path) -> None:
    names = {
        "RSPAM_CONSOLE_HOST": "spam.example.org",
        "RSPAM_CONSOLE_ENTRYPOINT": "https",
        "COMPOSE_PROJECT_NAME": "mail",
    }
    found, _ = labels(tmp_path, RSPAM_CONSOLE_TRAEFIK="true", **names)
    assert found == {
        "traefik.enable": "true",
        "traefik.docker.network": "mail_mail",
        "traefik.http.routers.postern-rspam.rule": "Host(`spam.example.org`)",
        "traefik.http.routers.postern-rspam.entrypoints": "https",
        "traefik.http.routers.postern-rspam.tls": "true",
        "traefik.http.services.postern-rspam.loadbalancer.server.port": "11334",
    }
    found, _ = labels(tmp_path, RSPAM_CONSOLE_TRAEFIK="true")
    assert found["traefik.http.routers.postern-rspam.rule"] == "Host(`rspam.example.org`)"
