"""What a view is: something that is shown, of which answers and their description are made."""

from datetime import datetime
from typing import Annotated, Any, ClassVar, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, PlainSerializer, WithJsonSchema

from provisioner.times import rfc_3339

Time = Annotated[
    datetime,
    PlainSerializer(rfc_3339, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
EXAMPLE_TIME = "2026-01-31T12:00:01.042Z"


class View(BaseModel):
    """Something that is shown. `SHOWN_ONCE` is what no later answer may repeat."""

    model_config = ConfigDict(from_attributes=True)
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {}

    def shown(self) -> dict[str, Any]:
        """Return it ready for JSON."""
        return self.model_dump(mode="json")

    def repeatable(self) -> dict[str, Any]:
        """Return it without what is shown once."""
        return self.model_dump(mode="json", exclude=self.SHOWN_ONCE)


class Versioned(View):
    """Something whose representation has an ETag; `CHANGING` fields do not count for it."""

    CHANGING: ClassVar[set[str]] = {"convergence", "credentials"}

    def tagged(self) -> str:
        """Return the part of it that its ETag stands for."""
        return self.model_dump_json(exclude=self.CHANGING)


def example(**fields: Any) -> ConfigDict:
    """Return the configuration of a view with an example of it."""
    return ConfigDict(from_attributes=True, json_schema_extra={"examples": [fields]})


Item = TypeVar("Item", bound=View)


class Page(View, Generic[Item]):
    """A page of a list; `next` is the path of the following page, or null."""

    items: list[Item]
    next: str | None
