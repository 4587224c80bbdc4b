"""Bodies that grow when they are read: refused, at the cost of what was sent.

What a request costs is the memory that it takes at its peak, and the length of its answer. The
control reads the same bodies without the rule that refuses them.
"""

import gzip
import json
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import Any, cast

import pytest

from provisioner import strict_json
from provisioner.api import reading
from tests.integration.conftest import Answer, Client

SENT_MAX = 1024 * 1024  # bytes of a body
PEAK_MAX = 20 * SENT_MAX  # bytes of memory
ANSWER_MAX = 4096  # bytes
UNPACKED = 200 * SENT_MAX  # bytes that a packed body grows to

PACKED = {
    "gzip": gzip.compress(b" " * UNPACKED),
    "deflate": zlib.compress(b" " * UNPACKED),
    "br": b"\x8b" * 1000,
    "zstd": b"\x28\xb5\x2f\xfd" * 250,
    "identity, gzip": gzip.compress(b" " * UNPACKED),
}
ACCOUNT = "/api/v1/sip-accounts"
NUMBERS = "/api/v1/numbers"
BOMBS: dict[str, tuple[int, bytes]] = {
    "lists in lists": (400, b'{"name":' + b"[" * (SENT_MAX - 100)),
    "lists in lists that end": (400, b'{"name":' + b"[" * 400_000 + b"]" * 400_000 + b"}"),
    "objects in objects": (400, b'{"name":' * 100_000 + b"1" + b"}" * 100_000),
    "a number of many digits": (400, b'{"voice_channels":' + b"9" * (SENT_MAX - 100) + b"}"),
    "a number beyond all numbers": (422, b'{"voice_channels":1e999999999}'),
    "a long text": (422, b'{"name":"' + b"x" * (SENT_MAX - 100) + b'"}'),
    "many members": (400, json.dumps({f"{i:x}": 0 for i in range(80_000)}).encode()),
    "a list of many": (422, json.dumps({"allowed_networks": ["x"] * 150_000}).encode()),
}


@pytest.fixture
def cost() -> Iterator[Callable[[], int]]:
    """How much memory was taken at most since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def sent(client: Client, body: bytes, path: str = ACCOUNT, **headers: str) -> Answer:
    given = {"Authorization": f"Bearer {client.token}", "Content-Type": "application/json"}
    answer = client.http.post(path, headers=given | headers, data=body)
    return cast(Answer, answer)


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_at_the_cost_of_what_was_sent(
    client: Client, cost: Callable[[], int], bomb: str
) -> None:
    status, body = BOMBS[bomb]
    assert len(body) <= SENT_MAX
    answer = sent(client, body)
    assert answer.status_code == status
    assert len(answer.text) < ANSWER_MAX
    assert cost() < PEAK_MAX


def test_without_the_rule_each_member_would_be_complained_of(
    client: Client, cost: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict_json, "MEMBERS_MAX", SENT_MAX)
    answer = sent(client, BOMBS["many members"][1])
    assert answer.status_code == 422
    assert len(answer.text) > SENT_MAX
    assert cost() > PEAK_MAX


@pytest.mark.parametrize("encoding", PACKED)
@pytest.mark.parametrize(
    ("path", "kind"),
    [
        (ACCOUNT, "application/json"),
        ("/api/v1/imports?kind=numbers", "text/csv"),
        ("/hooks/v1/events", "application/json"),
        ("/console/login", "application/x-www-form-urlencoded"),
    ],
)
def test_a_packed_body_is_not_unpacked(
    client: Client, cost: Callable[[], int], encoding: str, path: str, kind: str
) -> None:
    body = PACKED[encoding]
    answer = sent(client, body, path, **{"Content-Type": kind, "Content-Encoding": encoding})
    assert answer.status_code == 415
    assert cost() < PEAK_MAX


def test_a_server_that_unpacks_would_run_out_of_memory(
    client: Client, cost: Callable[[], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    app: Any = client.http.application

    def unpacking(environ: dict[str, Any], start: Any) -> Any:
        unpacked = gzip.decompress(environ["wsgi.input"].read())
        environ |= {"wsgi.input": BytesIO(unpacked), "CONTENT_LENGTH": str(len(unpacked))}
        return inner(environ, start)

    inner = app.wsgi_app
    monkeypatch.setattr(app, "wsgi_app", unpacking)
    sent(client, PACKED["gzip"], **{"Content-Encoding": "gzip"})
    assert cost() > UNPACKED


def test_a_body_that_says_it_is_as_it_is_is_taken(client: Client) -> None:
    body = json.dumps({"number": "+390612345678"}).encode()
    answer = sent(client, body, NUMBERS, **{"Content-Encoding": "identity"})
    assert answer.status_code == 201


def test_the_rule_is_what_refuses(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    body = json.dumps({"number": "+390612345678"}).encode()
    app: Any = client.http.application
    rules = app.before_request_funcs[None]
    monkeypatch.setitem(
        app.before_request_funcs, None, [one for one in rules if one is not reading.refuse_encoded]
    )
    answer = sent(client, body, NUMBERS, **{"Content-Encoding": "gzip"})
    assert answer.status_code == 201
