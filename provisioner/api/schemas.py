"""What requests may contain, field by field, and how things are shown."""

from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictBool, StrictInt, StrictStr

from provisioner.credentials import Secret
from provisioner.kamailio import Binding, shown
from provisioner.model import (
    CHANNELS_MAX,
    CIDRS_MAX,
    NAME_LENGTH,
    Account,
    Convergence,
    Network,
    Node,
    Number,
    NumberState,
    Tariff,
    is_e164,
)
from provisioner.settings import Settings


def _name(value: str) -> str:
    name = value.strip()
    if not 1 <= len(name) <= NAME_LENGTH:
        raise ValueError(f"must have 1 to {NAME_LENGTH} characters")
    if not name.isprintable():
        raise ValueError("must not contain control characters")
    return name


def _e164(value: str) -> str:
    if not is_e164(value):
        raise ValueError("must be in E.164 format: + and 7 to 15 digits, like +390612345678")
    return value


def _cidr(value: str) -> str:
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


Name = Annotated[StrictStr, AfterValidator(_name)]
E164 = Annotated[StrictStr, AfterValidator(_e164)]
Cidr = Annotated[StrictStr, AfterValidator(_cidr)]
Channels = Annotated[StrictInt, Field(ge=1, le=CHANNELS_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NumberBody(_Body):
    """POST /numbers."""

    number: E164
    state: NumberState = NumberState.ACTIVE


class NumberPatch(_Body):
    """PATCH /numbers/{number}."""

    state: NumberState


class NumberFilter(BaseModel):
    """GET /numbers."""

    state: NumberState | None = None
    choosable: bool | None = None


class NewAccountBody(_Body):
    """POST /sip-accounts."""

    name: Name
    main_number: E164
    voice_channels: Channels
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False


class AccountPatch(_Body):
    """PATCH /sip-accounts/{id}: JSON Merge Patch (RFC 7396) of what may change."""

    name: Name = ""
    main_number: E164 = ""
    voice_channels: Channels = 1
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False


class NetworkBody(_Body):
    """PUT /networks/{name}."""

    cidrs: list[Cidr] = Field(min_length=1, max_length=CIDRS_MAX)


def show_time(moment: datetime | None) -> str | None:
    """Show a time as RFC 3339 in UTC, with milliseconds."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def show_number(number: Number) -> dict[str, Any]:
    """Show a number."""
    return {
        "number": number.number,
        "state": number.state,
        "account_id": number.account_id,
        "created_at": show_time(number.created_at),
    }


def show_account(account: Account) -> dict[str, Any]:
    """Show an account; never its secret."""
    return {
        "id": account.id,
        "name": account.name,
        "main_number": account.main_number,
        "username": account.username,
        "realm": account.realm,
        "voice_channels": account.voice_channels,
        "tariff": account.tariff,
        "cloudfire_only": account.cloudfire_only,
        "state": account.state,
        "created_at": show_time(account.created_at),
        "changed_at": show_time(account.changed_at),
        "generation": account.convergence.generation,
        "convergence": show_convergence(account.convergence),
    }


def show_convergence(convergence: Convergence) -> dict[str, Any]:
    """Show on how many nodes a generation is live, and since when on all."""
    return {
        "generation": convergence.generation,
        "converged": convergence.converged,
        "nodes_converged": convergence.nodes_converged,
        "nodes_total": convergence.nodes_total,
        "pending_nodes": list(convergence.pending_nodes),
        "since": show_time(convergence.since),
    }


def show_secret(account: Account, secret: Secret, settings: Settings) -> dict[str, Any]:
    """Show an account with its new credentials, the only time that they can be seen."""
    credentials = {
        "username": secret.username,
        "password": secret.password,
        "realm": secret.realm,
        "server": settings.sip_address,
        "port": settings.sip_port,
        "transports": list(settings.sip_transports),
    }
    return show_account(account) | {"credentials": credentials}


def show_network(network: Network) -> dict[str, Any]:
    """Show a shared network and which nodes have loaded it."""
    return {
        "name": network.name,
        "cidrs": list(network.cidrs),
        "changed_at": show_time(network.changed_at),
        "generation": network.convergence.generation,
        "convergence": show_convergence(network.convergence),
    }


def show_binding(node: str, binding: Binding) -> dict[str, Any]:
    """Show a registered contact of an account."""
    return {
        "id": binding.ruid,
        "contact": shown(binding.contact),
        "source": binding.source,
        "transport": binding.transport,
        "user_agent": shown(binding.user_agent),
        "expires_at": show_time(binding.expires_at),
        "node": node,
    }


def show_node(node: Node) -> dict[str, Any]:
    """Show a node as its worker last saw it."""
    return {
        "name": node.name,
        "state": node.state,
        "converged": node.state == "up" and node.pending == 0,
        "pending": node.pending,
        "started_at": show_time(node.started_at),
        "last_seen_at": show_time(node.last_seen_at),
        "last_compared_at": show_time(node.last_compared_at),
        "last_error": node.last_error,
    }
