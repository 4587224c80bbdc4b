"""The rules of single fields, wherever they come from: the API, a hook, an imported file."""

import re
from datetime import datetime
from ipaddress import ip_network
from typing import Annotated

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

from provisioner.model import CHANNELS_MAX, E164, NAME_LENGTH, OWN_NETWORKS_MAX, is_e164
from provisioner.tenancy import EMAIL_LENGTH

EXTERNAL_ID_LENGTH = 120  # characters
CIDR_LENGTH = 50  # characters
BIGINT_MAX = 2**63 - 1
YEARS = range(2000, 9000)  # that a time can be in; PostgreSQL and Python agree on all of them
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_EMAIL = re.compile(r"[^@\s\x00-\x20]+@[^@\s\x00-\x20.]+(\.[^@\s\x00-\x20.]+)+")


def _printable(value: str, length: int) -> str:
    text = value.strip()
    if not 1 <= len(text) <= length:
        raise ValueError(f"must have 1 to {length} characters")
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def _name(value: str) -> str:
    return _printable(value, NAME_LENGTH)


def _external_id(value: str) -> str:
    return _printable(value, EXTERNAL_ID_LENGTH)


def _e164(value: str) -> str:
    if not is_e164(value):
        raise ValueError("must be in E.164 format: + and 7 to 15 digits, like +390612345678")
    return value


def _prefix(value: str) -> str:
    if value and not re.fullmatch(r"\+[1-9][0-9]{0,14}", value, re.ASCII):
        raise ValueError("must be + and 1 to 15 digits, or empty for all destinations")
    return value


def _email(value: str) -> str:
    if len(value) > EMAIL_LENGTH or not value.isprintable() or not _EMAIL.fullmatch(value):
        raise ValueError("must be an email address")
    return value


def _rfc_3339(value: object) -> object:
    """Let a `datetime` of our own pass, and a text that is one."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise ValueError("must be a time in RFC 3339 format, like 2026-01-31T12:00:00Z")
    if int(value[:4]) not in YEARS:
        raise ValueError(f"must be in the years {YEARS.start} to {YEARS.stop - 1}")
    return value


def _cidr(value: str) -> str:
    if len(value) > CIDR_LENGTH:
        raise ValueError(f"must have at most {CIDR_LENGTH} characters")
    try:
        network = ip_network(value)
    except ValueError as error:
        raise ValueError(f"must be a network in CIDR notation: {error}") from None
    if not value.rpartition("/")[2].isdigit() and "/" in value:
        raise ValueError("must have a prefix length, not a netmask")
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise ValueError("must be written as an IPv4 network")
    if network.prefixlen == 0:
        raise ValueError("must not be all addresses; leave the restriction off instead")
    if "%" in value:
        raise ValueError("must not have a scope")
    return str(network)


def _once(values: list[str] | None) -> tuple[str, ...]:
    """Drop what is there twice; null is none."""
    return tuple(dict.fromkeys(values or ()))


def _text(longest: int, **schema: object) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "minLength": 1, "maxLength": longest, **schema})


# A name as a person reads it; blanks around it do not count.
Name = Annotated[StrictStr, AfterValidator(_name), _text(NAME_LENGTH)]
ExternalId = Annotated[StrictStr, AfterValidator(_external_id), _text(EXTERNAL_ID_LENGTH)]
E164Number = Annotated[
    StrictStr,
    AfterValidator(_e164),
    WithJsonSchema({"type": "string", "pattern": f"^{E164.pattern}$"}),
]
DestinationPrefix = Annotated[
    StrictStr,
    AfterValidator(_prefix),
    WithJsonSchema({"type": "string", "pattern": r"^(\+[1-9][0-9]{0,14})?$"}),
]
Email = Annotated[StrictStr, AfterValidator(_email), _text(EMAIL_LENGTH, format="email")]
Cidr = Annotated[StrictStr, AfterValidator(_cidr), _text(CIDR_LENGTH)]
OwnNetworks = Annotated[
    Annotated[list[Cidr], Field(min_length=1, max_length=OWN_NETWORKS_MAX)] | None,
    AfterValidator(_once),
]
Channels = Annotated[StrictInt, Field(ge=1, le=CHANNELS_MAX)]
Id = Annotated[StrictInt, Field(ge=1, le=BIGINT_MAX)]
# RFC 3339 with a time zone; pydantic alone would take numbers of seconds, too.
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc_3339),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
