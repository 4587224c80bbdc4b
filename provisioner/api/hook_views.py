"""How hooks that come in are asked for and shown: sources and their events."""

from typing import Any, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, StrictBool

from provisioner.api.bodies import Body, IdText, PageQuery, Word
from provisioner.api.view import EXAMPLE_TIME, Time, View, example
from provisioner.fields import Id, Name
from provisioner.hook_store import ShownEvent, Source
from provisioner.hooks.fold import Status

SECRET = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"  # noqa: S105 - an example


def asked(**fields: Any) -> ConfigDict:
    """Give a body's example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class SourceBody(Body):
    """A hook source to add; the operator may name the customer whose objects it may touch."""

    model_config = asked(name="Portal")

    name: Name
    customer_id: Id | None = None


class SourcePatch(Body):
    """JSON Merge Patch (RFC 7396) of a hook source."""

    model_config = asked(active=False)

    active: StrictBool = True


class SourcesQuery(PageQuery):
    """Hook sources."""

    sort: Literal["id", "-id"] = "id"


class EventsQuery(PageQuery):
    """Incoming events of a kind, the latest first."""

    sort: Literal["-id", "id"] = "-id"
    status: Status | None = None
    type: Word | None = None
    source: IdText | None = None


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

    model_config = example(**_SOURCE)

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

    model_config = example(**_SOURCE, secret=SECRET)
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"secret": True}

    secret: str = Field(default="", description="absent where an answer is repeated")

    @classmethod
    def with_secret(cls, source: Source, secret: str) -> Self:
        """Show one."""
        return cls(**SourceView.of(source).model_dump(), secret=secret)


class EventView(View):
    """An event that a source has sent, and what became of it."""

    model_config = example(
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
