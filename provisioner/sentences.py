"""Sentences with values in them, which can still be said in another language."""

from datetime import datetime
from typing import Any

from provisioner.times import rfc_3339


class Sentence(str):
    """An English sentence that remembers what it was made of: a template, and its values by name.

    A value may be a time, which English says as RFC 3339 has it, or a sentence itself.
    """

    template: str
    values: dict[str, Any]

    def __new__(cls, template: str, **values: Any) -> "Sentence":
        """Say a template (`%(name)s`) with its values."""
        said = super().__new__(cls, template % {name: _said(one) for name, one in values.items()})
        said.template = template
        said.values = values
        return said


def _said(value: object) -> object:
    """Nobody looks for milliseconds in a sentence."""
    return rfc_3339(value, "seconds") if isinstance(value, datetime) else value
