"""Signs and verifies messages as Standard Webhooks has it, and survives whatever is sent.

`standardwebhooks` computes and compares the signatures. Everything that its `verify` would answer
with an undeclared exception (1.1.0: a signature without a comma or of odd base64, a body that is
not UTF-8) is refused or left out before it gets there.

Source: https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time

from standardwebhooks import Webhook, WebhookVerificationError

from provisioner.errors import ProvisionerError

PREFIX = "whsec_"
SECRET_LENGTH = 32  # bytes; the specification asks for 24 to 64
ID_LENGTH = 200  # characters of a message's id
TOLERANCE = 300  # seconds between a message's timestamp and now; the library's too
SIGNATURES_MAX = 20  # of one message; more than anybody's keys

_ID = re.compile(rf"[!-~]{{1,{ID_LENGTH}}}")
_TIMESTAMP = re.compile(r"[0-9]{1,11}", re.ASCII)
_SIGNATURE = re.compile(r"v1,[A-Za-z0-9+/]{43}=", re.ASCII)  # HMAC-SHA256 in base64


class SignatureInvalid(ProvisionerError):
    """The message is not signed with a key of an active hook source, or not within 5 minutes."""

    code = "signature-invalid"


class NotUtf8(ProvisionerError):
    """The body is not UTF-8."""

    code = "malformed-body"


@dataclass(frozen=True)
class SignedMessage:
    """A message with well-formed headers, whose signature has yet to be compared."""

    id: str
    timestamp: int  # seconds since 1970
    signatures: tuple[str, ...]
    body: str

    @classmethod
    def read(cls, headers: Mapping[str, str], body: bytes) -> "SignedMessage":
        """Take a message from a request; header names in lower case.

        Raises:
            SignatureInvalid: a header is missing or is not what it has to be, or is too old.
            NotUtf8: the body is not.
        """
        identifier, timestamp, signature = (
            headers.get(f"webhook-{name}", "") for name in ("id", "timestamp", "signature")
        )
        if not _ID.fullmatch(identifier):
            raise SignatureInvalid(
                f"Send a webhook-id of 1 to {ID_LENGTH} printable ASCII characters."
            )
        if not _TIMESTAMP.fullmatch(timestamp):
            raise SignatureInvalid("Send a webhook-timestamp in seconds since 1970.")
        if abs(time() - int(timestamp)) > TOLERANCE:
            raise SignatureInvalid()
        candidates = signature.split(" ")[:SIGNATURES_MAX]
        signatures = tuple(one for one in candidates if _SIGNATURE.fullmatch(one))
        if not signatures:
            raise SignatureInvalid('Send a webhook-signature like "v1," and a base64 HMAC-SHA256.')
        try:
            text = body.decode("utf-8")
        except UnicodeDecodeError:
            raise NotUtf8() from None
        return cls(identifier, int(timestamp), signatures, text)

    def is_signed_with(self, secret: str) -> bool:
        """Say whether a secret has made one of the signatures, within 5 minutes of now."""
        headers = {
            "webhook-id": self.id,
            "webhook-timestamp": str(self.timestamp),
            "webhook-signature": " ".join(self.signatures),
        }
        try:
            Webhook(secret).verify(self.body, headers, json_parse=False)
        except WebhookVerificationError:
            return False
        return True


def sign(
    keys: Sequence[str], message_id: str, body: str, at: datetime | None = None
) -> dict[str, str]:
    """Return the headers of a message, with a signature of each secret."""
    at = datetime.now(UTC) if at is None else at.astimezone(UTC)
    signatures = [Webhook(secret).sign(message_id, at, body) for secret in keys]
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def new_secret() -> str:
    """Make a secret: `whsec_` and 256 random bits in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_LENGTH)).decode("ascii")
