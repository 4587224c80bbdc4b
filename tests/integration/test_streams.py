"""Files that are sent and received slowly leave room for everything else."""

from collections.abc import Iterator
from contextlib import ExitStack
from socket import socketpair

import pytest

from provisioner import db
from provisioner.api import streams
from provisioner.api.streams import STREAMS_MAX
from tests.integration.conftest import NUMBER, Answer, Client
from tests.system import eventually

EXPORT = "/exports/numbers"


def slow_export(client: Client) -> Answer:
    """An export of which the client has read nothing yet."""
    headers = {"Authorization": f"Bearer {client.token}"}
    return client.send("GET", EXPORT, headers, buffered=False)


@pytest.fixture
def full(client: Client) -> Iterator[ExitStack]:
    """As many slow clients as a process serves; closing it sends them away."""
    with ExitStack() as clients:
        for _ in range(STREAMS_MAX):
            answer = slow_export(client)
            assert answer.status_code == 200
            clients.callback(answer.close)  # type: ignore[attr-defined] # werkzeug's
        yield clients


def upload(client: Client) -> Answer:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "text/csv"}
    return client.send("POST", "/imports?kind=numbers", headers, data="number\n")


def test_one_file_too_many_is_put_off(client: Client, full: ExitStack) -> None:
    for answer in (client("GET", EXPORT), upload(client)):
        assert answer.status_code == 503
        assert answer.json["type"].endswith(":too-many-streams")
        assert answer.headers["Retry-After"]


def test_everything_else_is_served_meanwhile(client: Client, full: ExitStack) -> None:
    assert client("GET", "/numbers").status_code == 200


def test_who_goes_away_makes_room(client: Client, full: ExitStack) -> None:
    full.close()
    for _ in range(STREAMS_MAX + 1):
        assert client("GET", EXPORT).status_code == 200
        assert client("GET", "/imports/1/credentials").status_code == 404
    assert upload(client).status_code == 202


def test_no_transaction_is_left_open_by_who_goes_away(
    full: ExitStack, admin: db.Connection
) -> None:
    full.close()
    left = (
        "SELECT FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = 'provisioner download'"
    )
    eventually(lambda: not admin.execute(left).fetchall())


def test_who_takes_too_long_is_cut_off(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The upload waits for a byte that never comes, until the connection is shut down."""
    monkeypatch.setattr(streams, "SECONDS_MAX", 0.2)
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "text/csv"}
    ours, theirs = socketpair()
    with ours, theirs, ours.makefile("rb") as body:
        environ = {
            "gunicorn.socket": ours,
            "wsgi.input": body,
            "wsgi.input_terminated": True,  # as gunicorn has it
            "CONTENT_LENGTH": "100",
        }
        path = "/imports?kind=numbers"
        answer = client.send("POST", path, headers, environ_overrides=environ)
        assert answer.status_code == 400
        assert theirs.recv(1) == b""
    assert client("GET", "/imports").json["items"] == []


def test_an_upload_that_breaks_off_is_no_shorter_file(client: Client) -> None:
    headers = {"Authorization": f"Bearer {client.token}", "Content-Type": "text/csv"}
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": "100"}  # as gunicorn has them
    content = f"number\n{NUMBER}\n"
    path = "/imports?kind=numbers"
    answer = client.send("POST", path, headers, data=content, environ_overrides=environ)
    assert answer.status_code == 400
    assert client("GET", "/imports").json["items"] == []
