"""An HTTP server that receives webhooks, and verifies them as any receiver would."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

from tests.system import eventually

HOST = "127.0.30.1"  # in the network that the tests' settings allow
ALLOWED = "127.0.30.0/24"


@dataclass(frozen=True)
class Received:
    """A request as it came in."""

    id: str
    headers: dict[str, str]
    body: str

    @property
    def json(self) -> Any:
        """Return the event."""
        return json.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Let the reference library verify it."""
        try:
            return bool(Webhook(secret).verify(self.body, self.headers))
        except Exception:
            return False


@dataclass
class Receiver:
    """What was received, and how it is answered."""

    port: int
    received: list[Received] = field(default_factory=list)
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    before_answer: Callable[[], object] = lambda: None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://{HOST}:{self.port}/hooks?from=provisioner"

    def of_type(self, kind: str) -> list[Received]:
        """Return the events of a type."""
        return [one for one in self.received if one.json["type"] == kind]

    def next(self, kind: str, count: int = 1, *, within: float = 20.0) -> list[Received]:
        """Wait for so many events of a type."""
        eventually(lambda: len(self.of_type(kind)) >= count, within=within)
        return self.of_type(kind)


@contextmanager
def receiver(port: int = 0) -> Iterator[Receiver]:
    """Run a receiver in a thread."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            headers = {name.lower(): value for name, value in self.headers.items()}
            state.received.append(Received(headers["webhook-id"], headers, body))
            state.before_answer()
            self.send_response(state.status)
            for name, value in state.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer((HOST, port), Handler) as server:
        server.daemon_threads = True
        state = Receiver(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()
