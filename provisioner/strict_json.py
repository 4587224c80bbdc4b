"""JSON as requests and files must write it (RFC 8259): no duplicate keys, no NaN, no surprises."""

import json
from typing import Any


def parse_object(data: str | bytes) -> dict[str, Any]:
    """Read one JSON object.

    Raises:
        ValueError: it is something else; says what.
    """
    try:
        value = json.loads(data, object_pairs_hook=_unique_keys, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is another value")  # noqa: TRY004 - of the text, not of the argument
    return value


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
