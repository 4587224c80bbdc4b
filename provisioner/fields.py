"""The rules of single fields, wherever they come from: the API, a hook, an imported file."""

import re
from collections import Counter
from datetime import datetime
from decimal import Decimal
from ipaddress import ip_address, ip_network
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

from provisioner.guard import CALLS_PER_SECOND_MAX, PREFIXES_MAX
from provisioner.model import (
    CHANNELS_MAX,
    E164,
    NAME_LENGTH,
    OWN_NETWORKS_MAX,
    TRUNK_PRIORITY_MAX,
    is_e164,
)
from provisioner.tenancy import EMAIL_LENGTH

EXTERNAL_ID_LENGTH = 120  # characters
CIDR_LENGTH = 50  # characters
RPC_URL_LENGTH = 300  # characters
HOST_LENGTH = 253  # characters (RFC 1035 section 2.3.4, without the dot at the end)
BIGINT_MAX = 2**63 - 1
YEARS = range(2000, 9000)  # that a time can be in; PostgreSQL and Python agree on all of them
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII
)
_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST_NAME = re.compile(rf"({_LABEL}\.)*(?=[0-9-]*[a-z]){_LABEL}", re.ASCII)
_PREFIX = r"\+[1-9][0-9]{0,14}"
_EUROS = r"(0|[1-9][0-9]{0,9})(\.[0-9]{1,2})?"
_NODE_NAME = "[A-Za-z0-9][A-Za-z0-9._-]{0,62}"
_RPC_URL = (
    r"http://(?P<host>[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}(/[A-Za-z0-9._~-]+)*/rpc"
)
# RFC 1918, RFC 4193 and the loopback
_PRIVATE = {
    4: [*map(ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8"))],
    6: [*map(ip_network, ("fc00::/7", "::1/128"))],
}
_EMAIL = re.compile(r"[^@\s\x00-\x20]+@[^@\s\x00-\x20.]+(\.[^@\s\x00-\x20.]+)+")


class Rule(ValueError):
    """A rule that a value breaks: a template and its values, so that it can be translated."""

    def __init__(self, template: str, **values: object) -> None:
        self.template = template
        self.values = values
        super().__init__(template % values)


def _printable(value: str, length: int) -> str:
    text = value.strip()
    if not 1 <= len(text) <= length:
        raise Rule("must have 1 to %(length)s characters", length=length)
    if not text.isprintable():
        raise Rule("must not contain control characters")
    return text


def _name(value: str) -> str:
    return _printable(value, NAME_LENGTH)


def _external_id(value: str) -> str:
    return _printable(value, EXTERNAL_ID_LENGTH)


def _e164(value: str) -> str:
    if not is_e164(value):
        raise Rule("must be in E.164 format: + and 7 to 15 digits, like +390612345678")
    return value


def _prefix(value: str) -> str:
    if value and not re.fullmatch(_PREFIX, value, re.ASCII):
        raise Rule("must be + and 1 to 15 digits, or empty for all destinations")
    return value


def _some_prefix(value: str) -> str:
    if not re.fullmatch(_PREFIX, value, re.ASCII):
        raise Rule("must be + and 1 to 15 digits, like +39899")
    return value


def _prefixes(values: list[str]) -> tuple[str, ...]:
    twice = sorted(value for value, count in Counter(values).items() if count > 1)
    if twice:
        raise Rule("must not name a prefix twice: %(twice)s", twice=", ".join(twice))
    return tuple(values)


def _euros(value: object) -> object:
    """Let an amount of our own pass, and a text that is one; JSON numbers may be rounded."""
    if isinstance(value, Decimal):
        return value
    if not isinstance(value, str) or not re.fullmatch(_EUROS, value, re.ASCII):
        raise Rule('must be an amount in euro as text, like "50.00"')
    return Decimal(value)


def _email(value: str) -> str:
    if len(value) > EMAIL_LENGTH or not value.isprintable() or not _EMAIL.fullmatch(value):
        raise Rule("must be an email address")
    return value


def _rfc_3339(value: object) -> object:
    """Let a `datetime` of our own pass, and a text that is one."""
    if isinstance(value, datetime):
        return value
    if not isinstance(value, str) or not _RFC_3339.fullmatch(value):
        raise Rule("must be a time in RFC 3339 format, like 2026-01-31T12:00:00Z")
    if int(value[:4]) not in YEARS:
        raise Rule(
            "must be in the years %(first)s to %(last)s", first=YEARS.start, last=YEARS.stop - 1
        )
    return value


def _cidr(value: str) -> str:
    if len(value) > CIDR_LENGTH:
        raise Rule("must have at most %(length)s characters", length=CIDR_LENGTH)
    try:
        network = ip_network(value)
    except ValueError as error:
        raise Rule("must be a network in CIDR notation: %(error)s", error=error) from None
    if not value.rpartition("/")[2].isdigit() and "/" in value:
        raise Rule("must have a prefix length, not a netmask")
    if network.version == 6 and network.network_address.ipv4_mapped is not None:
        raise Rule("must be written as an IPv4 network")
    if network.prefixlen == 0:
        raise Rule("must not be all addresses; leave the restriction off instead")
    if "%" in value:
        raise Rule("must not have a scope")
    return str(network)


def _host_name(value: str) -> str:
    """A last label of digits would be an address, or a misspelt one (RFC 1123 section 2.1)."""
    name = value.lower()
    if len(name) > HOST_LENGTH or not _HOST_NAME.fullmatch(name):
        raise Rule("must be a host name, like sip.example.com")
    return name


def _host(value: str) -> str:
    """Neither a port nor parameters: it becomes a part of a SIP URI as it is."""
    try:
        address = ip_address(value)
    except ValueError:
        if ":" not in value and _HOST_NAME.fullmatch(value.lower()):
            return _host_name(value)
        raise Rule("must be an IP address or a host name, without port") from None
    if address.version == 6:  # Kamailio 5.6 cannot load one, and then loads no change at all
        raise Rule("must be an IPv4 address or a host name")
    if address.is_unspecified or address.is_multicast:
        raise Rule("must be the address of one host")
    return str(address)


def _node_name(value: str) -> str:
    if not re.fullmatch(_NODE_NAME, value, re.ASCII):
        raise Rule("must be 1 to 63 letters, digits, dots, hyphens or underscores")
    return value


def _rpc_url(value: str) -> str:
    _host_of(value)
    return value


def _private_rpc_url(value: str) -> str:
    """The worker shows its token there: nobody may have it sent to a place of his own choice."""
    host = _host_of(value)
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        address = None
    if address is None or not any(address in network for network in _PRIVATE[address.version]):
        raise Rule("must be an address of a private network; others are for the command line")
    return value


def _host_of(rpc_url: str) -> str:
    found = re.fullmatch(_RPC_URL, rpc_url, re.ASCII)
    if found is None or len(rpc_url) > RPC_URL_LENGTH:
        raise Rule("must be like http://10.0.0.10:8090/rpc")
    return found["host"]


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
    WithJsonSchema({"type": "string", "pattern": f"^({_PREFIX})?$"}),
]
Prefix = Annotated[
    StrictStr,
    AfterValidator(_some_prefix),
    WithJsonSchema({"type": "string", "pattern": f"^{_PREFIX}$"}),
]
Prefixes = Annotated[
    Annotated[list[Prefix], Field(max_length=PREFIXES_MAX)],
    AfterValidator(_prefixes),
    Field(json_schema_extra={"uniqueItems": True}),
]
Euros = Annotated[
    Decimal,
    BeforeValidator(_euros),
    WithJsonSchema({"type": "string", "pattern": f"^{_EUROS}$"}),
]
Email = Annotated[StrictStr, AfterValidator(_email), _text(EMAIL_LENGTH, format="email")]
Cidr = Annotated[StrictStr, AfterValidator(_cidr), _text(CIDR_LENGTH)]
OwnNetworks = Annotated[
    Annotated[list[Cidr], Field(min_length=1, max_length=OWN_NETWORKS_MAX)] | None,
    AfterValidator(_once),
]
Channels = Annotated[StrictInt, Field(ge=1, le=CHANNELS_MAX)]
Host = Annotated[StrictStr, AfterValidator(_host), _text(HOST_LENGTH)]
HostName = Annotated[StrictStr, AfterValidator(_host_name), _text(HOST_LENGTH, format="hostname")]
NodeName = Annotated[
    StrictStr,
    AfterValidator(_node_name),
    WithJsonSchema({"type": "string", "pattern": f"^{_NODE_NAME}$"}),
]
RpcUrl = Annotated[StrictStr, AfterValidator(_rpc_url), _text(RPC_URL_LENGTH, format="uri")]
PrivateRpcUrl = Annotated[
    StrictStr, AfterValidator(_private_rpc_url), _text(RPC_URL_LENGTH, format="uri")
]
Port = Annotated[StrictInt, Field(ge=1, le=65535)]
TrunkPriority = Annotated[StrictInt, Field(ge=0, le=TRUNK_PRIORITY_MAX)]
CallsPerSecond = Annotated[StrictInt, Field(ge=1, le=CALLS_PER_SECOND_MAX)]
Id = Annotated[StrictInt, Field(ge=1, le=BIGINT_MAX)]
# RFC 3339 with a time zone; pydantic alone would take numbers of seconds, too.
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_rfc_3339),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
