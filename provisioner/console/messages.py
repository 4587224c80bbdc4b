"""What is wrong, in the reader's language: rules of fields and domain errors."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from flask_babel import format_datetime, gettext
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from provisioner.console.language import chosen
from provisioner.errors import InvalidInput, ProvisionerError
from provisioner.fields import Rule
from provisioner.sentences import Sentence

# pydantic's own rules, by its names of them; a value in braces is of the rule.
RULES = {
    "missing": "must be given",
    "string_type": "must be given",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "greater_than_equal": "must be at least %(ge)s",
    "less_than_equal": "must be at most %(le)s",
    "string_too_short": "must be given",
    "string_too_long": "must have at most %(max_length)s characters",
    "too_short": "must have at least %(min_length)s entries",
    "too_long": "must have at most %(max_length)s entries",
    "enum": "must be one of those offered",
    "literal_error": "must be one of those offered",
}
OTHER = "is not valid"


def of_error(error: ProvisionerError) -> str:
    """Say what a domain error says."""
    if isinstance(error, InvalidInput):
        return _sentence(of_sentence(error.rule))
    said = of_sentence(error.detail)
    if said == error.detail and chosen() != "en":  # it names values, so there is no translation
        said = str(gettext((type(error).__doc__ or "").strip()))
    return said


def of_sentence(text: str) -> str:
    """Say a sentence that the domain says, and times in it as people read them."""
    if not isinstance(text, Sentence):
        return str(gettext(text))
    values = {name: _value(one) for name, one in text.values.items()}
    return str(gettext(text.template) % values)


def _value(value: object) -> object:
    if isinstance(value, Sentence):
        return of_sentence(value)
    return format_datetime(value, "medium") if isinstance(value, datetime) else value


def of_validation(error: ValidationError) -> dict[str, str]:
    """Say what is wrong with which field."""
    found: dict[str, str] = {}
    for fault in error.errors(include_url=False):
        name = next((str(step) for step in fault["loc"] if isinstance(step, str)), "")
        found.setdefault(name, _sentence(_rule(fault)))
    return found


def _rule(fault: ErrorDetails) -> str:
    context: Mapping[str, Any] = fault.get("ctx", {})
    broken = context.get("error")
    if isinstance(broken, Rule):
        return str(gettext(broken.template) % broken.values)
    return str(gettext(RULES.get(fault["type"], OTHER)) % context)


def _sentence(rule: str) -> str:
    return rule[:1].upper() + rule[1:].rstrip(".") + "."
