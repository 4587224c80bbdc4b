"""A small HTTP client for the API, as a portal would have one."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPMessage
from typing import Any
from urllib.parse import urlsplit

from tests.secrecy import SECRETS

TIMEOUT = 30.0  # seconds


@dataclass(frozen=True)
class Answer:
    """An HTTP answer: `json` is None where the body is empty."""

    status: int
    headers: HTTPMessage
    json: Any

    def expect(self, status: int) -> Any:
        """Return the body if the status is as expected."""
        assert self.status == status, f"{self.status} instead of {status}: {self.json}"
        return self.json


class Api:
    """The API at an address, with a bearer token."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url
        self.headers = {"Authorization": f"Bearer {token}"}

    def get(self, path: str) -> Answer:
        """Read."""
        return self.request("GET", path)

    def post(self, path: str, body: Any = None, *, wait: float | None = None) -> Answer:
        """Create or act; with `wait` seconds for convergence."""
        return self.request("POST", path, body, wait=wait)

    def put(self, path: str, body: Any, *, wait: float | None = None) -> Answer:
        """Replace."""
        return self.request("PUT", path, body, wait=wait)

    def patch(self, path: str, body: Any, *, wait: float | None = None) -> Answer:
        """Change."""
        return self.request("PATCH", path, body, wait=wait)

    def delete(self, path: str, *, wait: float | None = None) -> Answer:
        """Remove."""
        return self.request("DELETE", path, wait=wait)

    def request(
        self, method: str, path: str, body: Any = None, *, wait: float | None = None
    ) -> Answer:
        """Send one request; paths that do not start at the root are those of `/api/v1`."""
        headers = dict(self.headers)
        if wait is not None:
            headers["Prefer"] = f"wait={wait:g}"
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body)
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=TIMEOUT)
        try:
            connection.request(method, f"/api/v1{path}", data, headers)
            response = connection.getresponse()
            content = response.read()
        finally:
            connection.close()
        answer = Answer(response.status, response.headers, json.loads(content) if content else None)
        SECRETS.answered(f"{method} {path}", content.decode(), answer.json)
        return answer
