"""The API as a portal uses it that sends one request after another: one kept connection."""

import json
from http.client import HTTPConnection
from typing import Any, Self
from urllib.parse import urlsplit

from provisioner.stack.stack import Stack

TIMEOUT = 30.0  # seconds for one request


class Portal:
    """A kept connection to a stack's API with the Admin's token."""

    def __init__(self, stack: Stack) -> None:
        token = stack.admin_token_file.read_text(encoding="ascii").strip()
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self._connection = HTTPConnection(urlsplit(stack.api_url).netloc, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        self.send("GET", "/nodes")  # so that no measured request has to connect
        self.receive(200)
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()

    def post(self, path: str, body: Any, status: int) -> Any:
        """Send a POST request and return the answer's body."""
        self.send("POST", path, body)
        return self.receive(status)

    def send(self, method: str, path: str, body: Any = None, *, prefer: str = "") -> None:
        """Send a request below `/api/v1` without waiting for the answer."""
        headers = self._headers | ({"Prefer": prefer} if prefer else {})
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, f"/api/v1{path}", data, headers)

    def receive(self, status: int) -> Any:
        """Wait for the answer.

        Raises:
            RuntimeError: it has another status.
        """
        answer = self._connection.getresponse()
        content = answer.read()
        if answer.status != status:
            raise RuntimeError(f"The API answered {answer.status}, not {status}: {content!r}")
        return json.loads(content)
