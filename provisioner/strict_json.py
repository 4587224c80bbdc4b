"""JSON as requests and files must write it (RFC 8259): no key twice in an object, no NaN."""

import json
from typing import Any

MEMBERS_MAX = 1000  # of an object: each that nobody asked for would be complained of


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
    if len(pairs) > MEMBERS_MAX:
        raise ValueError(f"an object has more than {MEMBERS_MAX} members")
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("an object has the same key twice")
    return result


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
