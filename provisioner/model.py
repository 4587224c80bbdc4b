"""The domain's things as plain values, and their rules. Nothing here does input or output."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Self

from provisioner.sources import Sources

E164 = re.compile(r"\+[1-9][0-9]{6,14}", re.ASCII)
NAME_LENGTH = 120  # characters
CHANNELS_MAX = 1000  # voice channels of one account
CIDRS_MAX = 1000  # entries of one network's allowlist
OWN_NETWORKS_MAX = 50  # entries of one account's own
TRUNK_PRIORITY_MAX = 100


class AccountState(StrEnum):
    """Whether an account may register, and where its calls go."""

    DISABLED = "disabled"
    ENABLED = "enabled"
    LINKED_TO_TEAMS = "linked_to_teams"

    @property
    def may_register(self) -> bool:
        """True where the right password is answered with 200."""
        return self is not AccountState.DISABLED


class Tariff(StrEnum):
    """How an account's calls are charged."""

    PAY_PER_USE = "pay_per_use"
    FLAT = "flat"


class NumberState(StrEnum):
    """Where a number is in its life; only an active one can be chosen for an account."""

    ORDERED = "ordered"
    PORTING = "porting"
    ACTIVE = "active"
    CEASED = "ceased"

    def may_become(self, state: "NumberState") -> bool:
        """Say whether a number may go from this state to another; staying is always fine.

        It is ordered, perhaps ported from another operator, active, and ceased at last; who
        orders it anew starts again.
        """
        return state is self or state in _NUMBER_TRANSITIONS[self]


_NUMBER_TRANSITIONS = {
    NumberState.ORDERED: {NumberState.PORTING, NumberState.ACTIVE, NumberState.CEASED},
    NumberState.PORTING: {NumberState.ACTIVE, NumberState.CEASED},
    NumberState.ACTIVE: {NumberState.CEASED},
    NumberState.CEASED: {NumberState.ORDERED},
}


def is_e164(number: str) -> bool:
    """Say whether `number` is `+` and 7 to 15 digits, the first not 0 (ITU-T E.164)."""
    return E164.fullmatch(number) is not None


def username_of(main_number: str) -> str:
    """Return the SIP username of an account: its main number's digits."""
    return main_number.removeprefix("+")


@dataclass(frozen=True)
class Number:
    """A telephone number of a project. `account_id` is the account that uses it, if any."""

    number: str
    customer_id: int
    project_id: int
    external_id: str | None
    state: NumberState
    account_id: int | None
    generation: int
    created_at: datetime
    changed_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of `provisioner.numbers`."""
        return cls(**{**row, "state": NumberState(row["state"])})

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail and hooks tell of it."""
        return {
            "number": self.number,
            "external_id": self.external_id,
            "customer_id": self.customer_id,
            "project_id": self.project_id,
            "state": self.state,
            "account_id": self.account_id,
        }


@dataclass(frozen=True)
class NewNumber:
    """What is given when a number is added; without a project it goes to the default one."""

    number: str
    state: NumberState = NumberState.ACTIVE
    external_id: str | None = None
    project_id: int | None = None


@dataclass(frozen=True)
class Convergence:
    """How many nodes obey the present generation of something, and since when all of them do."""

    generation: int
    nodes_total: int
    pending_nodes: tuple[str, ...]
    since: datetime | None

    @property
    def converged(self) -> bool:
        """True once every node has confirmed."""
        return not self.pending_nodes

    @property
    def nodes_converged(self) -> int:
        """Count the nodes that have confirmed."""
        return self.nodes_total - len(self.pending_nodes)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the views `account_status` or `network_status`."""
        pending = tuple(row["pending_nodes"])
        return cls(
            generation=row["generation"],
            nodes_total=row["nodes_total"],
            pending_nodes=pending,
            since=None if pending else row["converged_at"],
        )


@dataclass(frozen=True)
class Account:
    """A SIP account as it ought to be, and how many of its channels are in use."""

    id: int
    customer_id: int
    project_id: int
    external_id: str | None
    name: str
    main_number: str
    username: str
    realm: str
    voice_channels: int
    tariff: Tariff
    cloudfire_only: bool
    allowed_networks: tuple[str, ...]
    state: AccountState
    rotated_at: datetime | None
    created_at: datetime
    changed_at: datetime
    channels_used: int
    convergence: Convergence

    @property
    def has_credentials(self) -> bool:
        """True where a password exists; one that a hook created has none until it is asked for."""
        return self.rotated_at is not None

    @property
    def sources(self) -> Sources:
        """Where it may be used from.

        One that is linked to Teams is used from CloudFire's networks, whatever its own are.
        """
        if self.state is AccountState.LINKED_TO_TEAMS:
            return Sources(cloudfire=True)
        return Sources(self.cloudfire_only, self.allowed_networks)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the view `account_status`."""
        return cls(
            id=row["id"],
            customer_id=row["customer_id"],
            project_id=row["project_id"],
            external_id=row["external_id"],
            name=row["name"],
            main_number=row["main_number"],
            username=row["username"],
            realm=row["realm"],
            voice_channels=row["voice_channels"],
            tariff=Tariff(row["tariff"]),
            cloudfire_only=row["cloudfire_only"],
            allowed_networks=tuple(map(str, row["allowed_networks"])),
            state=AccountState(row["state"]),
            rotated_at=row["rotated_at"],
            created_at=row["created_at"],
            changed_at=row["changed_at"],
            channels_used=row["channels_used"],
            convergence=Convergence.from_row(row),
        )

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail and hooks tell of it; nothing of its secret."""
        return {
            "id": self.id,
            "external_id": self.external_id,
            "customer_id": self.customer_id,
            "project_id": self.project_id,
            "name": self.name,
            "main_number": self.main_number,
            "voice_channels": self.voice_channels,
            "tariff": self.tariff,
            "cloudfire_only": self.cloudfire_only,
            "allowed_networks": list(self.allowed_networks) or None,
            "state": self.state,
        }


@dataclass(frozen=True)
class NewAccount:
    """What is chosen when an account is created; without a project it goes to the default one."""

    name: str
    main_number: str
    voice_channels: int
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: bool = False
    allowed_networks: tuple[str, ...] = ()
    external_id: str | None = None
    project_id: int | None = None


@dataclass(frozen=True)
class TariffChange:
    """A tariff, since when it is in force, the one before it, and who changed it."""

    tariff: Tariff
    previous: Tariff | None
    since: datetime
    via: str
    actor_name: str


@dataclass(frozen=True)
class Network:
    """An allowlist that accounts share, in CIDR notation, sorted."""

    name: str
    cidrs: tuple[str, ...]
    changed_at: datetime
    convergence: Convergence

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the view `network_status`."""
        return cls(row["name"], tuple(row["cidrs"]), row["changed_at"], Convergence.from_row(row))


class TrunkKind(StrEnum):
    """What is at the other end of a trunk."""

    CARRIER = "carrier"
    TEAMS = "teams"


class Transport(StrEnum):
    """How SIP gets there."""

    UDP = "udp"
    TCP = "tcp"
    TLS = "tls"

    @property
    def port(self) -> int:
        """The port where none is named (RFC 3261 section 19.1.2)."""
        return 5061 if self is Transport.TLS else 5060


@dataclass(frozen=True)
class NewTrunk:
    """A trunk to add. Of several carriers the one with the highest `priority` is tried first;
    `keepalive`: it is asked by OPTIONS whether it is there. Only a Teams trunk has a project, and
    an FQDN, by which Teams knows the project.
    """

    name: str
    kind: TrunkKind
    project_id: int | None
    host: str
    port: int
    transport: Transport
    priority: int
    keepalive: bool
    fqdn: str | None


@dataclass(frozen=True)
class Trunk(NewTrunk):
    """Where calls leave by."""

    id: int
    created_at: datetime
    changed_at: datetime

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the table `trunks`."""
        kind, transport = TrunkKind(row["kind"]), Transport(row["transport"])
        return cls(**{**row, "kind": kind, "transport": transport})

    def facts(self) -> dict[str, Any]:
        """Return what the audit trail tells of it."""
        return {name: value for name, value in vars(self).items() if not name.endswith("_at")}


class ReplicaState(StrEnum):
    """Whether a node may read from its replica."""

    USED = "used"
    BEHIND = "behind"
    AWAY = "away"


@dataclass(frozen=True)
class NodeReplica:
    """The replica of the database that a node reads from. `lag_seconds` is how old what it shows
    is; None where it does not answer.
    """

    address: str
    state: ReplicaState
    lag_seconds: float | None


@dataclass(frozen=True)
class Node:
    """A Kamailio node, as its worker last saw it. `pending` counts what it has yet to confirm.

    `draining`: it shall take nothing new; `drained`: it does not, and its last call has ended.
    `dialogs` are its calls in progress; None where they are not known.
    """

    id: int
    name: str
    rpc_url: str
    state: str
    draining: bool
    dialogs: int | None
    drained: bool
    started_at: datetime | None
    last_seen_at: datetime | None
    last_compared_at: datetime | None
    last_error: str | None
    pending: int
    replica: NodeReplica | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Make one from a row of the query `nodes`."""
        names = ("replica", "replica_state", "replica_lag")
        fields = {name: value for name, value in row.items() if name not in names}
        address, state, lag = (row[name] for name in names)
        replica = NodeReplica(address, ReplicaState(state), lag) if address else None
        return cls(**fields, replica=replica)

    @property
    def converged(self) -> bool:
        """Whether it obeys in everything."""
        return self.state == "up" and self.pending == 0
