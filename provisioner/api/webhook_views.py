"""How webhooks are asked for and shown: endpoints, deliveries, attempts."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, StrictBool
from pydantic import StrictStr as Text

from provisioner.api.bodies import Body, IdText, PageQuery, Word
from provisioner.api.hook_views import SECRET, asked
from provisioner.api.view import EXAMPLE_TIME, Time, View, example
from provisioner.fields import Id, Moment
from provisioner.hooks.addresses import URL_LENGTH
from provisioner.webhook_store import OUTGOING_TYPES, Attempt, Delivery, Endpoint

_DESCRIPTION_LENGTH = 200  # characters


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


class EndpointBody(Body):
    """A webhook endpoint to add; without types it gets all."""

    model_config = asked(url="https://portal.example/hooks", types=["account.converged"])

    url: Url
    types: Types = Field(default_factory=list)
    description: Description = ""
    customer_id: Id | None = None


class EndpointPatch(Body):
    """JSON Merge Patch (RFC 7396) of a webhook endpoint."""

    model_config = asked(active=True)

    url: Url = ""
    types: Types = Field(default_factory=list)
    description: Description = ""
    active: StrictBool = True


class ReplayBody(Body):
    """From when on events are sent again."""

    model_config = asked(since=EXAMPLE_TIME)

    since: Moment


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

    model_config = example(**_ENDPOINT)

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

    model_config = example(**_ENDPOINT, secret=SECRET)
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"secret": True}

    secret: str = Field(default="", description="absent where an answer is repeated")

    @classmethod
    def with_secret(cls, endpoint: Endpoint, secret: str) -> Self:
        """Show one."""
        return cls(**EndpointView.of(endpoint).model_dump(), secret=secret)


class ReplayView(View):
    """How many deliveries have been made due again."""

    model_config = example(deliveries=3)

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

    model_config = example(**_DELIVERY)

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

    model_config = example(
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
