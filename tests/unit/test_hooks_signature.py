"""Standard Webhooks signatures, and what hostile senders make of them."""

import base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from provisioner.errors import ProvisionerError
from provisioner.hooks.signature import NotUtf8, SignatureInvalid, SignedMessage, new_secret, sign

SECRET, OTHER = new_secret(), new_secret()
BODY = '{"type": "ping"}'


def verify(keys: Sequence[str], headers: Mapping[str, str], body: bytes) -> int:
    """The index of the first secret that has signed a message."""
    message = SignedMessage.read(headers, body)
    for index, secret in enumerate(keys):
        if message.is_signed_with(secret):
            return index
    raise SignatureInvalid


def signed(**headers: str) -> dict[str, str]:
    changed = {name.replace("_", "-"): value for name, value in headers.items()}
    return sign([SECRET], "msg_1", BODY) | changed


def signature() -> str:
    return signed()["webhook-signature"]


def test_a_secret_is_of_256_bits_in_the_form_of_the_specification() -> None:
    assert SECRET.startswith("whsec_")
    assert len(base64.b64decode(SECRET.removeprefix("whsec_"))) == 32


def test_what_is_signed_here_the_reference_library_accepts() -> None:
    headers = sign([OTHER, SECRET], "msg_1", BODY)
    assert Webhook(SECRET).verify(BODY, headers) == {"type": "ping"}


def test_the_index_of_the_secret_that_signed_is_told() -> None:
    assert verify([OTHER, SECRET], signed(), BODY.encode()) == 1


def test_a_malformed_signature_beside_a_valid_one_does_not_hide_it() -> None:
    for odd in ("v1", "v1,", "v1,%%%", "v1a,abc", ",", "v1,é", "v2,AAAA"):
        both = signed(webhook_signature=f"{odd} {signature()} {odd}")
        assert verify([SECRET], both, BODY.encode()) == 0


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_message_is_good_for_five_minutes(minutes: int) -> None:
    at = datetime.now(UTC) + timedelta(minutes=minutes)
    with pytest.raises(SignatureInvalid):
        verify([SECRET], sign([SECRET], "msg_1", BODY, at), BODY.encode())


@pytest.mark.parametrize(
    "headers",
    [
        {"webhook_id": ""},
        {"webhook_id": "msg_2"},
        {"webhook_id": "a b"},
        {"webhook_id": "x" * 201},
        {"webhook_timestamp": ""},
        {"webhook_timestamp": "nan"},
        {"webhook_timestamp": "1e9"},
        {"webhook_timestamp": "-1"},
        {"webhook_timestamp": "٣"},
        {"webhook_timestamp": "9" * 11},
        {"webhook_signature": ""},
        {"webhook_signature": "v1"},
        {"webhook_signature": "v1," + "A" * 43 + "="},
    ],
)
def test_odd_headers_are_refused(headers: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        verify([SECRET], signed(**headers), BODY.encode())


def test_another_body_or_key_is_refused() -> None:
    with pytest.raises(SignatureInvalid):
        verify([SECRET], signed(), b'{"type": "ping" }')
    with pytest.raises(SignatureInvalid):
        verify([OTHER], signed(), BODY.encode())
    with pytest.raises(SignatureInvalid):
        verify([], signed(), BODY.encode())


def test_a_body_that_is_not_utf_8_is_refused() -> None:
    with pytest.raises(NotUtf8):
        verify([SECRET], signed(), b"\xff")


HEADERS: Any = st.fixed_dictionaries(
    {},
    optional={f"webhook-{name}": st.text(max_size=60) for name in ("id", "timestamp", "signature")},
)


@given(HEADERS, st.binary(max_size=60))
def test_whatever_is_sent_ends_in_a_refusal(headers: Mapping[str, str], body: bytes) -> None:
    for sent in (headers, {**signed(), **headers}):
        with pytest.raises(ProvisionerError):
            verify([OTHER], sent, body)
