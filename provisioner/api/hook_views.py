"""How hooks are asked for and shown: sources, events, endpoints, deliveries."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictBool
from pydantic import StrictStr as Text

from provisioner.api.bodies import Body, IdText, PageQuery, Word
from provisioner.api.view import EXAMPLE_TIME, Time, View
from provisioner.fields import Id, Moment, Name
from provisioner.hook_store import ShownEvent, Source
from provisioner.hooks.addresses import URL_LENGTH
from provisioner.hooks.fold import Status
from provisioner.webhook_store import OUTGOING_TYPES, Attempt, Delivery, Endpoint

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105 - an example
_DESCRIPTION_LENGTH = 200  # characters


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [example]})


def _asked(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


def _outgoing(value: str) -> str:
    if value not in OUTGOING_TYPES:
        raise ValueError(f"must be one of {', '.join(OUTGOING_TYPES)}")
    return value


def _printable(value: str) -> str:
    if not value.isprintable():
        raise ValueError("must not contain control characters")
    return value


Url = Annotated[Text, Field(min_length=1, max_length=URL_LENGTH)]
Type = Annotated[
    Text, AfterValidator(_outgoing), Field(json_schema_extra={"enum": [*OUTGOING_TYPES]})
]
Types = Annotated[list[Type], Field(max_length=len(OUTGOING_TYPES))]
Description = Annotated[Text, AfterValidator(_printable), Field(max_length=_DESCRIPTION_LENGTH)]


class SourceBody(Body):
    """A hook source to add; the operator may name the customer whose objects it may touch."""

    model_config = _asked(name="Portal")

    name: Name
    customer_id: Id | None = None


class SourcePatch(Body):
    """JSON Merge Patch (RFC 7396) of a hook source."""

    model_config = _asked(active=False)

    active: StrictBool = True


class EndpointBody(Body):
    """A webhook endpoint to add; without types it gets all."""

    model_config = _asked(url="https://portal.example/hooks", types=["account.converged"])

    url: Url
    types: Types = Field(default_factory=list)
    description: Description = ""
    customer_id: Id | None = None


class EndpointPatch(Body):
    """JSON Merge Patch (RFC 7396) of a webhook endpoint."""

    model_config = _asked(active=True)

    url: Url = ""
    types: Types = Field(default_factory=list)
    description: Description = ""
    active: StrictBool = True


class ReplayBody(Body):
    """From when on events are sent again."""

    model_config = _asked(since=EXAMPLE_TIME)

    since: Moment


class SourcesQuery(PageQuery):
    """Hook sources."""

    sort: Literal["id", "-id"] = "id"


class EventsQuery(PageQuery):
    """Incoming events of a kind, the latest first."""

    sort: Literal["-id", "id"] = "-id"
    status: Status | None = None
    type: Word | None = None
    source: IdText | None = None


class EndpointsQuery(PageQuery):
    """Webhook endpoints."""

    sort: Literal["id", "-id"] = "id"
    active: bool | None = None


class DeliveriesQuery(PageQuery):
    """Deliveries of a kind, the latest first; dead letters are `state=dead`."""

    sort: Literal["-id", "id"] = "-id"
    state: Literal["pending", "delivered", "dead"] | None = None
    endpoint: IdText | None = None
    type: Word | None = None


class KeyView(View):
    """A key of a source: never its text."""

    id: int
    created_at: str


_SOURCE = {
    "id": 1,
    "customer_id": None,
    "name": "Portal",
    "active": True,
    "created_at": EXAMPLE_TIME,
    "keys": [{"id": 1, "created_at": EXAMPLE_TIME}],
}


class SourceView(View):
    """Who may send events; of the operator where `customer_id` is null."""

    model_config = _example(**_SOURCE)

    id: int
    customer_id: int | None
    name: str
    active: bool
    created_at: Time
    keys: list[KeyView]

    @classmethod
    def of(cls, source: Source) -> Self:
        """Show one."""
        return cls.model_validate(source)


class NewSourceView(SourceView):
    """A source with a new key, the only time that it can be seen."""

    model_config = _example(**_SOURCE, secret=SECRET)
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"secret": True}

    secret: str = Field(default="", description="absent where an answer is repeated")

    @classmethod
    def with_secret(cls, source: Source, secret: str) -> Self:
        """Show one."""
        return cls(**SourceView.of(source).model_dump(), secret=secret)


class EventView(View):
    """An event that a source has sent, and what became of it."""

    model_config = _example(
        id=7,
        customer_id=None,
        webhook_id="msg_p5jXN8AQM9LWM0D4loKWxJek",
        source_id=1,
        type="account.disabled",
        version=7,
        occurred_at=EXAMPLE_TIME,
        received_at=EXAMPLE_TIME,
        data={"external_id": "crm-1", "version": 7},
        status="applied",
        code=None,
        detail=None,
    )

    id: int
    customer_id: int | None
    webhook_id: str
    source_id: int | None
    type: str
    version: int
    occurred_at: Time
    received_at: Time
    data: dict[str, Any]
    status: Status
    code: str | None
    detail: str | None

    @classmethod
    def of(cls, event: ShownEvent) -> Self:
        """Show one."""
        return cls.model_validate(event)


_ENDPOINT = {
    "id": 1,
    "customer_id": None,
    "project_id": None,
    "url": "https://portal.example/hooks",
    "types": ["account.converged"],
    "description": "",
    "active": True,
    "disabled_by": None,
    "created_at": EXAMPLE_TIME,
    "pending": 0,
    "dead": 0,
}


class EndpointView(View):
    """Where events are sent, with how many deliveries are pending or were given up."""

    model_config = _example(**_ENDPOINT)

    id: int
    customer_id: int | None
    project_id: int | None
    url: str
    types: list[str]
    description: str
    active: bool
    disabled_by: str | None
    created_at: Time
    pending: int
    dead: int

    @classmethod
    def of(cls, endpoint: Endpoint) -> Self:
        """Show one."""
        return cls.model_validate(endpoint)


class NewEndpointView(EndpointView):
    """An endpoint with its new secret, the only time that it can be seen."""

    model_config = _example(**_ENDPOINT, secret=SECRET)
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"secret": True}

    secret: str = Field(default="", description="absent where an answer is repeated")

    @classmethod
    def with_secret(cls, endpoint: Endpoint, secret: str) -> Self:
        """Show one."""
        return cls(**EndpointView.of(endpoint).model_dump(), secret=secret)


class ReplayView(View):
    """How many deliveries have been made due again."""

    model_config = _example(deliveries=3)

    deliveries: int


_DELIVERY = {
    "id": 1,
    "customer_id": None,
    "project_id": None,
    "endpoint_id": 1,
    "event_id": "msg_0b1c2d3e4f5061728394a5b6c7d8e9f0",
    "type": "account.converged",
    "data": {"id": 1, "external_id": "crm-1", "version": 12},
    "created_at": EXAMPLE_TIME,
    "state": "delivered",
    "attempts": 1,
    "next_attempt_at": None,
    "delivered_at": EXAMPLE_TIME,
    "last_status": 204,
    "last_error": None,
}


class DeliveryView(View):
    """An event on its way to an endpoint."""

    model_config = _example(**_DELIVERY)

    id: int
    customer_id: int | None
    project_id: int | None
    endpoint_id: int
    event_id: str
    type: str
    data: dict[str, Any]
    created_at: Time
    state: str
    attempts: int
    next_attempt_at: Time | None
    delivered_at: Time | None
    last_status: int | None
    last_error: str | None

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        """Show one."""
        return cls.model_validate(delivery)


class AttemptView(View):
    """One attempt; `response` is the beginning of the answer's body."""

    at: Time
    status: int | None
    duration_ms: int
    error: str | None
    response: str | None


class DeliveryLogView(DeliveryView):
    """A delivery with all its attempts."""

    model_config = _example(
        **_DELIVERY,
        log=[
            {
                "at": EXAMPLE_TIME,
                "status": 204,
                "duration_ms": 31,
                "error": None,
                "response": "",
            }
        ],
    )

    log: list[AttemptView]

    @classmethod
    def with_log(cls, delivery: Delivery, attempts: list[Attempt]) -> Self:
        """Show one."""
        log = [AttemptView.model_validate(attempt) for attempt in attempts]
        return cls(**DeliveryView.of(delivery).model_dump(), log=log)
