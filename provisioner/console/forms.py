"""Forms: what was typed, what is wrong with it, and never one without the other."""

from collections.abc import Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.datastructures import MultiDict

from provisioner.console import messages
from provisioner.db import Connection, translated_errors
from provisioner.errors import Conflict, InvalidInput

Schema = TypeVar("Schema", bound=BaseModel)


class Form:
    """The values of a form as texts, and the errors by field; those of "" are about all of it."""

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        """Take the request's form, or the values that a new one starts with."""
        self.values: MultiDict[str, Any] = MultiDict(request.form if values is None else values)
        self.errors: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Return a field's text without the blanks around it; empty where there is none."""
        value = self.values.get(name, "")
        return value.strip() if isinstance(value, str) else str(value)

    def checked(self, name: str) -> bool:
        """Say whether a box is checked; browsers do not send one that is not."""
        return self.values.get(name) in ("on", "true", True)

    def number(self, name: str) -> int | str:
        """Return a field as a number, or its text, of which the model then complains."""
        text = self[name]
        return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else text

    def lines(self, name: str) -> list[str]:
        """Return the words of a field: one a line, or between commas."""
        return self[name].replace(",", " ").split()

    def attempt(self, connection: Connection) -> "Attempt":
        """Try what the form asks for; what is wrong becomes its errors, and nothing is changed."""
        return Attempt(self, connection)

    def read(self, schema: type[Schema], values: Mapping[str, Any]) -> Schema:
        """Read values by the model that the API reads them by.

        Raises:
            pydantic.ValidationError: a field does not follow its rule.
        """
        return schema.model_validate(dict(values))


class Attempt:
    """A part of a transaction that is undone where the form is refused, which is told in it."""

    def __init__(self, form: Form, connection: Connection) -> None:
        self._form = form
        self._connection = connection
        self._tried = ExitStack()

    def __enter__(self) -> None:
        self._tried.enter_context(translated_errors())
        self._tried.enter_context(self._connection.transaction())

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Keep what is wrong with the form; other errors go on."""
        try:
            if error is None:
                # What is checked at the end only would otherwise fail behind our back.
                self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
                self._connection.execute("SET CONSTRAINTS ALL DEFERRED")
            self._tried.__exit__(kind, error, trace)  # raises what it makes of the error, if else
            if error is not None:
                raise error
        except ValidationError as broken:
            self._form.errors |= messages.of_validation(broken)
        except (Conflict, InvalidInput) as refused:
            self._form.errors[refused.field or ""] = messages.of_error(refused)
        else:
            return False
        return True
