"""The operations below one path: declared by decorators, served as a blueprint."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from flask import Blueprint

from provisioner.access import Permission
from provisioner.api.operation import Operation
from provisioner.api.serving import serve
from provisioner.errors import ProvisionerError

Function = TypeVar("Function", bound=Callable[..., Any])
Errors = Sequence[type[ProvisionerError]]


class Resource:
    """The operations below one path, as a blueprint."""

    def __init__(self, tag: str, prefix: str) -> None:
        self.tag = tag
        self.blueprint = Blueprint(tag.lower().replace(" ", "_"), __name__, url_prefix=prefix)
        self.prefix = prefix
        self.operations: list[Operation] = []

    def operation(
        self,
        method: str,
        path: str,
        permission: Permission,
        *,
        status: int = 200,
        errors: Errors = (),
        guard: Callable[..., Any] | None = None,
        takes: Sequence[str] = (),
        gives: Sequence[str] = (),
        sample: str = "",
    ) -> Callable[[Function], Function]:
        """Make a function the view of an operation."""

        def declare(view: Function) -> Function:
            one = Operation(
                self.tag,
                method,
                self.prefix + path,
                permission,
                view,
                status,
                tuple(errors),
                guard,
                tuple(takes),
                tuple(gives),
                sample,
            )
            self.operations.append(one)
            self.blueprint.add_url_rule(
                path, endpoint=one.name, view_func=_route(one), methods=[method]
            )
            return view

        return declare

    def get(self, path: str, permission: Permission, **more: Any) -> Callable[[Function], Function]:
        """Declare a reading operation."""
        return self.operation("GET", path, permission, **more)

    def post(
        self, path: str, permission: Permission, **more: Any
    ) -> Callable[[Function], Function]:
        """Declare a creating or acting operation."""
        return self.operation("POST", path, permission, **more)

    def put(self, path: str, permission: Permission, **more: Any) -> Callable[[Function], Function]:
        """Declare a replacing operation."""
        return self.operation("PUT", path, permission, **more)

    def patch(
        self, path: str, permission: Permission, **more: Any
    ) -> Callable[[Function], Function]:
        """Declare a changing operation."""
        return self.operation("PATCH", path, permission, **more)

    def delete(
        self, path: str, permission: Permission, **more: Any
    ) -> Callable[[Function], Function]:
        """Declare a removing operation."""
        return self.operation("DELETE", path, permission, **{"status": 204, **more})


def _route(operation: Operation) -> Callable[..., Any]:
    route = partial(serve, operation)
    route.permission = operation.permission  # type: ignore[attr-defined] # a test asks for it
    return route
