"""What a route is, declared once: for serving it, for OpenAPI, and for the tests that walk all of
them.

A view is a function of a `Call`, of a `body` and a `query` where it has parameters of these names,
and of the path's parameters. Its annotations say what they are made of, and what it returns; its
docstring is the operation's description.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from types import UnionType
from typing import Any

from pydantic import BaseModel

from provisioner.access import Permission
from provisioner.api.bodies import NoFields, NoQuery
from provisioner.errors import ProvisionerError


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    `guard` reads the object that the operation changes, locked, as it is shown: for `If-Match`.
    `answer` is the model of the answer, or None where it has no body.
    `takes` and `gives` are the media types of streams; an operation that gives some may answer with
    a model as well, and `sample` is an example of a CSV.
    """

    tag: str
    method: str
    path: str
    permission: Permission
    view: Callable[..., Any]
    status: int
    errors: tuple[type[ProvisionerError], ...]
    guard: Callable[..., Any] | None
    takes: tuple[str, ...] = ()
    gives: tuple[str, ...] = ()
    sample: str = ""

    @property
    def name(self) -> str:
        """Return the view's name: the operation's id."""
        return self.view.__name__

    @property
    def description(self) -> str:
        """Return what it does."""
        return inspect.getdoc(self.view) or ""

    @cached_property
    def body(self) -> type[BaseModel] | None:
        """Return the model of the request's body; None where it has none."""
        given: type[BaseModel] | None = self._annotation("body")
        if given is None and self.method == "POST" and not self.streams_in:
            return NoFields
        return given

    @cached_property
    def query(self) -> type[BaseModel]:
        """Return the model of the query parameters."""
        return self._annotation("query") or NoQuery

    @cached_property
    def answer(self) -> Any:
        """Return the model of the answer; None where it has no body."""
        annotation = inspect.signature(self.view).return_annotation
        if isinstance(annotation, UnionType):  # a model or a stream, as the client chooses
            return annotation.__args__[0]
        return annotation

    @cached_property
    def streams_in(self) -> bool:
        """True where the view reads the request's body itself, as a stream."""
        return "stream" in inspect.signature(self.view).parameters

    def _annotation(self, name: str) -> Any:
        parameter = inspect.signature(self.view).parameters.get(name)
        return parameter and parameter.annotation
