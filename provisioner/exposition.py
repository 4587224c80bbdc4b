"""Who may read what is measured, and the worker's own listener for it."""

import logging
import socket
import socketserver
import threading
from hmac import compare_digest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import cast

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

log = logging.getLogger(__name__)

# By any of these headers a proxy tells that it passes a request on.
PASSED_ON = ("X-Forwarded-For", "Forwarded", "Via", "X-Real-IP")
REFUSED = "Show METRICS_TOKEN as a bearer token; where there is none, ask from this machine.\n"
SILENCE = 5.0  # seconds that a client of the listener may be silent


def may_read(token: str, authorization: str, peer: str | None, *, passed_on: bool = False) -> bool:
    """Say whether a request may read the metrics: it shows the token, or, where none is set, comes
    from this machine itself and was not passed on by a proxy.
    """
    if token:
        scheme, _, shown = authorization.partition(" ")
        # As bytes: a comparison of texts takes ASCII only.
        same = compare_digest(shown.strip().encode(errors="replace"), token.encode())
        return scheme.lower() == "bearer" and same
    return not passed_on and is_local(peer)


def is_local(address: str | None) -> bool:
    """Say whether an address is the loopback's."""
    try:
        return ip_address(address or "").is_loopback
    except ValueError:
        return False


class Listener:
    """Answers /livez, and /metrics to whoever may read them, in threads of its own.

    Where its port cannot be had it says so and is silent: a worker's work is more than its figures.
    """

    def __init__(self, address: str, port: int, registry: CollectorRegistry, token: str) -> None:
        self._server: _Server | None = None
        try:
            self._server = _Server(address, port, registry, token)
        except OSError as error:
            reason = error.strerror or str(error)
            log.error("no /metrics on port %s: %s", port, reason)  # noqa: TRY400 - it says it all
            return
        threading.Thread(target=self._server.serve_forever, daemon=True, name="metrics").start()

    def close(self) -> None:
        """Answer no more."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: str, port: int, registry: CollectorRegistry, token: str) -> None:
        self.address_family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self.registry = registry
        self.token = token
        super().__init__((address, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking for this machine's name, as the parent does."""
        socketserver.TCPServer.server_bind(self)


class _Handler(BaseHTTPRequestHandler):
    timeout = SILENCE
    server_version, sys_version = "provisioner", ""

    def do_GET(self) -> None:
        """Answer one of the two paths."""
        if self.path == "/livez":
            self._answer(200, "application/json", b'{"status":"ok"}\n')
        elif self.path != "/metrics":
            self._answer(404, "text/plain", b"")
        elif self._may_read():
            registry = cast(_Server, self.server).registry
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(registry))
        else:
            self._answer(401, "text/plain", REFUSED.encode())

    def _may_read(self) -> bool:
        token = cast(_Server, self.server).token
        shown = self.headers.get("Authorization", "")
        passed_on = any(name in self.headers for name in PASSED_ON)
        return may_read(token, shown, str(self.client_address[0]), passed_on=passed_on)

    def _answer(self, status: int, kind: str, content: bytes) -> None:
        self.send_response(status)
        if status == 401:
            self.send_header("WWW-Authenticate", "Bearer")
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing of each request: they come every few seconds, for ever."""
