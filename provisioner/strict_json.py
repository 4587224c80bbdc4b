"""JSON as requests and files must write it (RFC 8259): no key twice in an object, no NaN."""

import json
from typing import Any


def parse(data: str | bytes) -> Any:
    """Read a JSON value.

    Raises:
        ValueError: it is none; says why.
    """
    try:
        return json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
