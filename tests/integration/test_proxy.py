"""The service behind nginx, with the configuration that the documentation gives."""

import http.client
import json
import re
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pytest

from provisioner.settings import Settings
from provisioner.stack.ports import tcp
from provisioner.stack.processes import Command, Process
from provisioner.stack.stack import Stack
from tests.integration.conftest import NUMBER, Client
from tests.integration.serving import HOST, served
from tests.ports import new_port
from tests.sip.clients import Authority

pytestmark = pytest.mark.native  # starts nginx

CONFIG = Path(__file__).parents[2] / "docs" / "nginx.conf"
NAME = "voice.example.com"
CLIENT = "127.0.20.7"
PATIENCE = 10.0  # seconds
FORGED = {"X-Forwarded-For": "203.0.113.9", "X-Forwarded-Host": "evil.test"}
AROUND = """\
daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder};
    proxy_temp_path {folder};
    fastcgi_temp_path {folder};
    uwsgi_temp_path {folder};
    scgi_temp_path {folder};
{servers}
}}
"""


@dataclass(frozen=True)
class Reply:
    """An answer as it came through the proxy."""

    status: int
    headers: http.client.HTTPMessage
    text: str


@dataclass
class Proxy:
    """nginx, and a client with an address of its own that trusts its certificate."""

    authority: Authority
    tls_port: int
    plain_port: int

    def over_tls(
        self, method: str, path: str, headers: Mapping[str, str], body: str | None = None
    ) -> Reply:
        """Send a request as it should be sent."""
        context = ssl.create_default_context(cafile=str(self.authority.certificate))
        connection = http.client.HTTPSConnection(
            HOST, self.tls_port, context=context, source_address=(CLIENT, 0), timeout=PATIENCE
        )
        return _exchange(connection, method, path, headers, body)

    def plainly(self, path: str) -> Reply:
        """Read without TLS."""
        connection = http.client.HTTPConnection(HOST, self.plain_port, timeout=PATIENCE)
        return _exchange(connection, "GET", path, {})


def _exchange(
    connection: http.client.HTTPConnection,
    method: str,
    path: str,
    headers: Mapping[str, str],
    body: str | None = None,
) -> Reply:
    try:
        connection.request(method, path, body, {"Host": NAME, **headers})
        answer = connection.getresponse()
        return Reply(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


def configured(folder: Path, authority: Authority, ports: Mapping[str, int]) -> Path:
    """Write the documented configuration with this machine's ports and files."""
    own = authority.issue("127.0.0.1", NAME)
    servers = CONFIG.read_text(encoding="utf-8")
    for documented, ours in {
        "listen 443 ssl;": f"listen {HOST}:{ports['tls']} ssl;",
        "listen 80;": f"listen {HOST}:{ports['plain']};",
        "127.0.0.1:8080": f"{HOST}:{ports['service']}",
        "/etc/ssl/voice.pem": str(own.certificate),
        "/etc/ssl/private/voice.key": str(own.private_key),
    }.items():
        assert servers.count(documented) == 1, documented
        servers = servers.replace(documented, ours)
    path = folder / "nginx.conf"
    path.write_text(AROUND.format(folder=folder, servers=servers), encoding="utf-8")
    return path


@contextmanager
def proxied(
    stack: Stack, settings: Settings, authority: Authority, folder: Path, *, trusted: int
) -> Iterator[Proxy]:
    """The service, which trusts so many proxies, and nginx in front of it."""
    with served(settings, stack, folder / "log", TRUSTED_PROXIES=str(trusted)) as server:
        ports = {name: new_port(tcp(HOST)) for name in ("tls", "plain")}
        config = configured(folder, authority, {**ports, "service": server.port})
        command = Command(["/usr/sbin/nginx", "-c", str(config), "-p", str(folder)], {})
        made = Proxy(authority, ports["tls"], ports["plain"])

        def answers() -> bool:
            try:
                return made.over_tls("GET", "/livez", {}).status == 200
            except OSError:
                return False

        process = Process("nginx", folder / "nginx.log", lambda: command, answers)
        process.start()
        try:
            process.wait_ready()
            yield made
        finally:
            process.stop()


@pytest.mark.parametrize(
    ("trusted", "source", "secure"),
    [(1, CLIENT, "max-age=31536000"), (0, HOST, None)],
    ids=["trusted", "control"],
)
def test_who_asks_and_how_is_known_and_nobody_can_say_that_he_is_another(
    stack: Stack,
    settings: Settings,
    client: Client,
    authority: Authority,
    tmp_path: Path,
    trusted: int,
    source: str,
    secure: str | None,
) -> None:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    body = json.dumps({"number": NUMBER, "state": "active"})
    with proxied(stack, settings, authority, tmp_path, trusted=trusted) as proxy:
        created = proxy.over_tls("POST", "/api/v1/numbers", headers | FORGED, body)
        assert created.status == 201, created.text
        (event,) = client("GET", "/audit-events?type=number.created").json["items"]
        assert event["source"] == source
        # Browsers are told never to come without TLS, where TLS is known of.
        for path in ("/api/v1/numbers", "/console/login", "/livez"):
            told = proxy.over_tls("GET", path, {}).headers
            assert told.get("Strict-Transport-Security") == secure, path


def test_forms_are_taken_from_our_own_pages_over_tls_only(
    stack: Stack, settings: Settings, authority: Authority, tmp_path: Path
) -> None:
    """Browsers without Fetch Metadata name the page's origin, which has to be the proxy's."""
    with proxied(stack, settings, authority, tmp_path, trusted=1) as proxy:
        page = proxy.over_tls("GET", "/console/login", {})
        cookie = page.headers["Set-Cookie"]
        assert cookie.startswith("__Host-session=")
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert token
        headers = {
            "Cookie": cookie.partition(";")[0],
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = urlencode({"csrf_token": token[1], "email": "a@example.org", "password": "wrong"})
        for origin, taken in [(f"https://{NAME}", True), (f"http://{NAME}", False)]:
            answer = proxy.over_tls("POST", "/console/login", headers | {"Origin": origin}, form)
            assert (answer.status != 403) is taken, origin

        plain = proxy.plainly("/console/login")
        assert (plain.status, plain.headers["Location"]) == (301, f"https://{NAME}/console/login")
        assert proxy.plainly("/api/v1/numbers").status == 403
