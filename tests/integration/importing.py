"""What tests of imports do: upload a file, let a worker run it, decrypt what it made."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyrage

from provisioner import db
from provisioner.bulk.runner import ImportRunner
from provisioner.settings import Settings
from tests.integration.conftest import Answer, Client

ACCOUNT_HEADER = "name,main_number,voice_channels"


def numbers(count: int) -> list[str]:
    """That many numbers."""
    return [f"+39061{i:07d}" for i in range(count)]


def file_of(header: str, rows: Sequence[str]) -> str:
    """A CSV file."""
    return "\n".join([header, *rows]) + "\n"


def accounts_file(wanted: Sequence[str]) -> str:
    """A CSV file of accounts on these numbers."""
    return file_of(ACCOUNT_HEADER, [f"Line {number},{number},2" for number in wanted])


@dataclass
class Imports:
    """A client that imports files, and a worker that runs them when it is told to."""

    client: Client
    settings: Settings
    identity: pyrage.x25519.Identity

    @property
    def recipient(self) -> str:
        """The public key to encrypt to."""
        return str(self.identity.to_public())

    def bearing(self, token: str) -> "Imports":
        """The same with another token."""
        return Imports(self.client.bearing(token), self.settings, self.identity)

    def upload(
        self, kind: str, content: str | bytes, query: str = "", media: str = "text/csv"
    ) -> Answer:
        """Send a file."""
        headers = {"Authorization": f"Bearer {self.client.token}", "Content-Type": media}
        return self.client.send("POST", f"/imports?kind={kind}{query}", headers, data=content)

    def work(self) -> None:
        """Run what waits, as a worker does."""
        with db.connect(self.settings.database_url, autocommit=True) as connection:
            ImportRunner(self.settings).step(connection)

    def run(self, kind: str, content: str | bytes, query: str = "", **more: Any) -> Any:
        """Send a file, have it run, and return what became of it."""
        if kind == "accounts" and "credentials=" not in query:
            query += f"&recipient={self.recipient}"
        answer = self.upload(kind, content, query, **more)
        assert answer.status_code == 202, answer.text
        self.work()
        return self.client("GET", f"/imports/{answer.json['id']}").json

    def state(self, job: Any) -> Any:
        """The status that it has now."""
        return self.client("GET", f"/imports/{job['id']}").json["status"]

    def errors(self, job: Any) -> list[tuple[int, str | None, str]]:
        """What is wrong: line, field, rule."""
        items = self.client("GET", f"/imports/{job['id']}/errors").json["items"]
        return [(item["line"], item["field"], item["detail"]) for item in items]

    def credentials(self, job: Any) -> list[dict[str, str]]:
        """Fetch the credentials file and decrypt it."""
        answer = self.client("GET", f"/imports/{job['id']}/credentials")
        assert answer.status_code == 200, answer.text
        return decrypted(answer.data, self.identity)  # type: ignore[attr-defined] # werkzeug's


def decrypted(sealed: bytes, identity: pyrage.x25519.Identity) -> list[dict[str, str]]:
    """Read a credentials file."""
    text = pyrage.decrypt(sealed, [identity]).decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))
