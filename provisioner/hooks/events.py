"""What an event may contain, type by type. A fault is named by its place in the body.

An event that tells of a state may carry more than is named here, which does not count; one that
brings fields may not, because a field that nobody knows would be lost.
"""

import hashlib
from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    StrictStr,
    create_model,
    model_validator,
)

from provisioner.errors import InvalidInput
from provisioner.fields import (
    BIGINT_MAX,
    Channels,
    E164Number,
    ExternalId,
    Id,
    Moment,
    Name,
    OwnNetworks,
)
from provisioner.hooks.incoming import Incoming
from provisioner.model import NumberState, Tariff

PING = "ping"


Version = Annotated[StrictInt, Field(ge=0, le=BIGINT_MAX)]


class _Data(BaseModel):
    version: Version
    generation: Id | None = None
    customer_id: Id | None = None  # whose it is, where the portal's own key does not say it
    project_id: Id | None = None


class AccountNamed(_Data):
    """An account by our id or the portal's own."""

    id: Id | None = None
    external_id: ExternalId | None = None

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.id is None and self.external_id is None:
            raise ValueError("must have an id or an external_id")
        return self


class AccountCreated(_Data):
    """All that an account is created with; what is left out has the API's defaults."""

    model_config = ConfigDict(extra="forbid")

    external_id: ExternalId
    name: Name
    main_number: E164Number
    voice_channels: Channels
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False
    allowed_networks: OwnNetworks = None


class AccountUpdated(AccountNamed):
    """What has changed of an account."""

    model_config = ConfigDict(extra="forbid")

    name: Name = ""
    voice_channels: Channels = 1
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False
    allowed_networks: OwnNetworks = None


class NumberNamed(_Data):
    """A number, in E.164 format or by the portal's own key."""

    number: E164Number | None = None
    external_id: ExternalId | None = None

    @model_validator(mode="after")
    def _is_named(self) -> Self:
        if self.number is None and self.external_id is None:
            raise ValueError("must have a number or an external_id")
        return self


class NumberCreated(_Data):
    """A number to add."""

    model_config = ConfigDict(extra="forbid")

    number: E164Number
    external_id: ExternalId | None = None
    state: NumberState = NumberState.ACTIVE


class NumberUpdated(NumberNamed):
    """A number's new state."""

    model_config = ConfigDict(extra="forbid")

    state: NumberState


DATA: Mapping[str, type[_Data]] = {
    "account.created": AccountCreated,
    "account.updated": AccountUpdated,
    "account.enabled": AccountNamed,
    "account.disabled": AccountNamed,
    "account.teams_linked": AccountNamed,
    "account.deleted": AccountNamed,
    "number.created": NumberCreated,
    "number.updated": NumberUpdated,
    "number.ceased": NumberNamed,
}

_ENVELOPES = {
    kind: create_model(kind, type=(StrictStr, ...), timestamp=(Moment, ...), data=(data, ...))
    for kind, data in DATA.items()
}


def read(webhook_id: str, body: str, content: Mapping[str, Any]) -> Incoming | None:
    """Read an event from a body and its parsed content; None for a ping, which says nothing.

    Raises:
        InvalidInput: its type is unknown.
        pydantic.ValidationError: a field does not follow its rule.
    """
    kind = content.get("type")
    if kind == PING:
        return None
    if not isinstance(kind, str) or kind not in DATA:
        raise InvalidInput("type", f"must be one of {', '.join(DATA)}, {PING}")
    envelope: Any = _ENVELOPES[kind].model_validate(content)
    data: _Data = envelope.data
    given = data.model_dump(mode="json", exclude_unset=not kind.endswith(".created"))
    return Incoming(
        webhook_id=webhook_id,
        body_sha256=hashlib.sha256(body.encode()).digest(),
        type=kind,
        version=data.version,
        occurred_at=envelope.timestamp,
        data=given,
    )
