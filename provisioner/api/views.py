"""How numbers, accounts and what belongs to them, networks and nodes are shown."""

from typing import Any, ClassVar, Self

from pydantic import Field

from provisioner.api.view import EXAMPLE_TIME, Page, Time, Versioned, View, example
from provisioner.calling import CallerIdRule, CallTransfer, Transfer
from provisioner.credentials import Secret
from provisioner.kamailio import Binding, shown
from provisioner.model import (
    Account,
    AccountState,
    Convergence,
    Network,
    Node,
    Number,
    NumberState,
    ReplicaState,
    Tariff,
    TariffChange,
    Transport,
    Trunk,
    TrunkKind,
)
from provisioner.settings import Settings


class ConvergenceView(View):
    """On how many nodes a generation is live, and since when on all of them."""

    generation: int
    converged: bool
    nodes_converged: int
    nodes_total: int
    pending_nodes: list[str]
    since: Time | None

    @classmethod
    def of(cls, convergence: Convergence) -> Self:
        """Show one."""
        return cls.model_validate(convergence)


_CONVERGENCE = {
    "generation": 12,
    "converged": True,
    "nodes_converged": 1,
    "nodes_total": 1,
    "pending_nodes": [],
    "since": EXAMPLE_TIME,
}
_NUMBER = {
    "number": "+390612345678",
    "external_id": None,
    "customer_id": 1,
    "project_id": 1,
    "state": "active",
    "account_id": 1,
    "created_at": EXAMPLE_TIME,
    "changed_at": EXAMPLE_TIME,
}
_ACCOUNT = {
    "id": 1,
    "external_id": None,
    "customer_id": 1,
    "project_id": 1,
    "name": "Front desk",
    "main_number": "+390612345678",
    "username": "390612345678",
    "realm": "talkytime.test",
    "voice_channels": 2,
    "tariff": "pay_per_use",
    "cloudfire_only": False,
    "allowed_networks": None,
    "state": "enabled",
    "has_credentials": True,
    "channels": {"used": 1, "limit": 2},
    "created_at": EXAMPLE_TIME,
    "changed_at": EXAMPLE_TIME,
    "generation": 12,
    "convergence": _CONVERGENCE,
}


CREDENTIALS_EXAMPLE = {
    "username": "390612345678",
    "password": "kJ8mQ2vXc7RtYw4nHs9bLpD",
    "realm": "talkytime.test",
    "server": "192.0.2.10",
    "port": 5060,
    "transports": ["udp", "tcp"],
}


class NumberView(Versioned):
    """A telephone number; `account_id` is the account that uses it."""

    model_config = example(**_NUMBER)

    number: str
    external_id: str | None
    customer_id: int
    project_id: int
    state: NumberState
    account_id: int | None
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, number: Number) -> Self:
        """Show one."""
        return cls.model_validate(number)


class ChannelsView(View):
    """How many of an account's channels are in use, and how many it has."""

    used: int
    limit: int


class AccountView(Versioned):
    """A SIP account; never its secret."""

    model_config = example(**_ACCOUNT)
    CHANGING: ClassVar[set[str]] = {*Versioned.CHANGING, "channels"}

    id: int
    external_id: str | None
    customer_id: int
    project_id: int
    name: str
    main_number: str
    username: str
    realm: str
    voice_channels: int
    tariff: Tariff
    cloudfire_only: bool
    allowed_networks: list[str] | None
    state: AccountState
    has_credentials: bool
    channels: ChannelsView
    created_at: Time
    changed_at: Time
    generation: int
    convergence: ConvergenceView

    @classmethod
    def of(cls, account: Account) -> Self:
        """Show one."""
        return cls(**_account_fields(account))


def _account_fields(account: Account) -> dict[str, Any]:
    fields = {
        name: getattr(account, name)
        for name in AccountView.model_fields
        if name not in ("allowed_networks", "channels", "generation", "convergence")
    }
    return fields | {
        "allowed_networks": list(account.allowed_networks) or None,
        "channels": ChannelsView(used=account.channels_used, limit=account.voice_channels),
        "generation": account.convergence.generation,
        "convergence": ConvergenceView.of(account.convergence),
    }


class CredentialsView(View):
    """What a device needs to register. The password is shown once."""

    username: str
    password: str = Field(default="", description="absent where an answer is repeated")
    realm: str
    server: str
    port: int
    transports: list[str]

    @classmethod
    def of(cls, secret: Secret, settings: Settings) -> Self:
        """Show what a device is told."""
        return cls(
            username=secret.username,
            password=secret.password,
            realm=secret.realm,
            server=settings.sip_address,
            port=settings.sip_port,
            transports=list(settings.sip_transports),
        )


class SecretView(AccountView):
    """An account with its new credentials, the only time that they can be seen."""

    model_config = example(
        **_ACCOUNT,
        credentials=CREDENTIALS_EXAMPLE,
    )
    SHOWN_ONCE: ClassVar[dict[str, Any]] = {"credentials": {"password"}}

    credentials: CredentialsView

    @classmethod
    def with_secret(cls, account: Account, secret: Secret, settings: Settings) -> Self:
        """Show one."""
        credentials = CredentialsView.of(secret, settings)
        return cls(**_account_fields(account), credentials=credentials)


class TariffView(View):
    """A tariff, since when it is in force, the one before it, and who changed it."""

    model_config = example(
        tariff="flat", previous="pay_per_use", since=EXAMPLE_TIME, via="api", actor_name="Admin"
    )

    tariff: Tariff
    previous: Tariff | None
    since: Time
    via: str
    actor_name: str

    @classmethod
    def of(cls, change: TariffChange) -> Self:
        """Show one."""
        return cls.model_validate(change)


class CallerIdRuleView(View):
    """A caller ID rule; `number` is null where none is presented."""

    model_config = example(
        id=1, destination_prefix="+44", number="+390612345679", created_at=EXAMPLE_TIME
    )

    id: int
    destination_prefix: str
    number: str | None
    created_at: Time

    @classmethod
    def of(cls, rule: CallerIdRule) -> Self:
        """Show one."""
        return cls.model_validate(rule)


class TransferView(View):
    """One transfer: on or off, and where to."""

    enabled: bool
    target: str | None

    @classmethod
    def of(cls, transfer: Transfer) -> Self:
        """Show one."""
        return cls.model_validate(transfer)


class CallTransferView(Versioned):
    """All of an account's transfers."""

    model_config = example(
        unconditional={"enabled": False, "target": None},
        no_answer={"enabled": True, "target": "+390687654321"},
        unreachable={"enabled": False, "target": None},
    )

    unconditional: TransferView
    no_answer: TransferView
    unreachable: TransferView

    @classmethod
    def of(cls, transfer: CallTransfer) -> Self:
        """Show one."""
        return cls(**{condition: TransferView.of(one) for condition, one in transfer})


class BindingView(View):
    """A registered contact of an account; `source` is where the REGISTER came from."""

    model_config = example(
        id="uloc-1-6b04dc2d-3d90-2",
        contact="sip:390612345678@203.0.113.5:5062",
        source="203.0.113.5:5062",
        transport="udp",
        user_agent="baresip v1.0.0",
        expires_at=EXAMPLE_TIME,
        node="node1",
    )

    id: str
    contact: str
    source: str
    transport: str
    user_agent: str
    expires_at: Time
    node: str

    @classmethod
    def of(cls, node: str, binding: Binding) -> Self:
        """Show one."""
        return cls(
            id=binding.ruid,
            contact=shown(binding.contact),
            source=binding.source,
            transport=binding.transport,
            user_agent=shown(binding.user_agent),
            expires_at=binding.expires_at,
            node=node,
        )


class RegistrationsView(Page[BindingView]):
    """An account's bindings on the nodes that answered, and the nodes that did not."""

    unavailable_nodes: list[str]


class NetworkView(Versioned):
    """A shared network and which nodes have loaded it."""

    model_config = example(
        name="cloudfire",
        cidrs=["198.51.100.0/24", "2001:db8:10::/48"],
        changed_at=EXAMPLE_TIME,
        generation=12,
        convergence=_CONVERGENCE,
    )

    name: str
    cidrs: list[str]
    changed_at: Time
    generation: int
    convergence: ConvergenceView

    @classmethod
    def of(cls, network: Network) -> Self:
        """Show one."""
        return cls(
            name=network.name,
            cidrs=list(network.cidrs),
            changed_at=network.changed_at,
            generation=network.convergence.generation,
            convergence=ConvergenceView.of(network.convergence),
        )


class TrunkView(Versioned):
    """Where calls leave by."""

    model_config = example(
        id=1,
        name="Carrier A",
        kind="carrier",
        project_id=None,
        host="203.0.113.5",
        port=5060,
        transport="udp",
        priority=0,
        keepalive=False,
        fqdn=None,
        created_at=EXAMPLE_TIME,
        changed_at=EXAMPLE_TIME,
    )

    id: int
    name: str
    kind: TrunkKind
    project_id: int | None
    host: str
    port: int
    transport: Transport
    priority: int
    keepalive: bool
    fqdn: str | None
    created_at: Time
    changed_at: Time

    @classmethod
    def of(cls, trunk: Trunk) -> Self:
        """Show one."""
        return cls.model_validate(trunk)


class NodeReplicaView(View):
    """The replica of the database that a node reads credentials from: `used`, `behind`, `away`."""

    model_config = example(address="10.0.0.5:5432", state="used", lag_seconds=0.003)

    address: str
    state: ReplicaState
    lag_seconds: float | None


class NodeView(View):
    """A Kamailio node as its worker last saw it.

    `draining`: it shall take nothing new; `drained`: it does not, and has no call in progress any
    more. `dialogs` are those calls; null where they are not known.
    """

    model_config = example(
        name="node1",
        state="up",
        draining=False,
        drained=False,
        dialogs=3,
        converged=True,
        pending=0,
        started_at=EXAMPLE_TIME,
        last_seen_at=EXAMPLE_TIME,
        last_compared_at=EXAMPLE_TIME,
        last_error=None,
        replica=None,
    )

    name: str
    state: str
    draining: bool
    drained: bool
    dialogs: int | None
    converged: bool
    pending: int
    started_at: Time | None
    last_seen_at: Time | None
    last_compared_at: Time | None
    last_error: str | None
    replica: NodeReplicaView | None

    @classmethod
    def of(cls, node: Node) -> Self:
        """Show one."""
        return cls.model_validate(node)
