"""What requests may contain, field by field: bodies of JSON, and queries."""

import re
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    WithJsonSchema,
)
from pydantic import StrictStr as Text

from provisioner.access import Role, Via
from provisioner.call_records import Convention
from provisioner.calling import CallTransfer, Condition, Transfer
from provisioner.fields import (
    BIGINT_MAX,
    CallsPerSecond,
    Channels,
    Cidr,
    DestinationPrefix,
    E164Number,
    Email,
    Euros,
    ExternalId,
    Host,
    HostName,
    Id,
    Moment,
    Name,
    NodeName,
    OwnNetworks,
    Port,
    Prefixes,
    PrivateRpcUrl,
    RpcUrl,
    TrunkPriority,
)
from provisioner.listing import containing
from provisioner.model import (
    CIDRS_MAX,
    AccountState,
    NewTrunk,
    NumberState,
    Tariff,
    Transport,
    TrunkKind,
)
from provisioner.pricing import Side

_MONTH = re.compile(r"[2-8][0-9]{3}-(0[1-9]|1[0-2])", re.ASCII)
LIMIT_DEFAULT = 50
LIMIT_MAX = 500


class Body(BaseModel):
    """A JSON object whose fields are all known."""

    model_config = ConfigDict(extra="forbid")

    def given(self) -> dict[str, Any]:
        """Return the fields that the client sent: those that a JSON Merge Patch changes."""
        return {name: getattr(self, name) for name in self.model_fields_set}


def _example(**example: Any) -> ConfigDict:
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [example]})


class NumberBody(Body):
    """A number to add."""

    model_config = _example(number="+390612345678", state="active")

    number: E164Number
    state: NumberState = NumberState.ACTIVE
    external_id: ExternalId | None = None
    project_id: Id | None = None


class NumberPatch(Body):
    """JSON Merge Patch (RFC 7396) of what may change of a number."""

    model_config = _example(state="ceased")

    state: NumberState = NumberState.ACTIVE
    external_id: ExternalId | None = None


class NewAccountBody(Body):
    """An account to create."""

    model_config = _example(name="Front desk", main_number="+390612345678", voice_channels=2)

    name: Name
    main_number: E164Number
    voice_channels: Channels
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False
    allowed_networks: OwnNetworks = Field(default=None, validate_default=True)
    external_id: ExternalId | None = None
    project_id: Id | None = None


class AccountPatch(Body):
    """JSON Merge Patch (RFC 7396) of what may change of an account."""

    model_config = _example(voice_channels=4, tariff="flat")

    name: Name = ""
    main_number: E164Number = ""
    voice_channels: Channels = 1
    tariff: Tariff = Tariff.PAY_PER_USE
    cloudfire_only: StrictBool = False
    allowed_networks: OwnNetworks = Field(default=None, validate_default=True)
    external_id: ExternalId | None = None


class NoFields(Body):
    """An action that takes no fields: no body at all, or an empty object."""

    model_config = _example()


class ChangeAction(StrEnum):
    """What becomes of credentials."""

    ROTATE = "rotate"
    EXPIRE = "expire"


class CredentialChangeBody(Body):
    """What becomes of the password, and when: in the future, at most a year ahead."""

    model_config = _example(action="expire", due_at="2026-12-31T18:00:00Z")

    action: ChangeAction
    due_at: Moment


class CallerIdRuleBody(Body):
    """Present one of the account's own numbers to a destination, or none (`number: null`)."""

    model_config = _example(destination_prefix="+44", number="+390612345679")

    destination_prefix: DestinationPrefix = ""
    number: E164Number | None


class TransferBody(Body):
    """One transfer: on or off, and where to."""

    model_config = _example(enabled=True, target="+390687654321")

    enabled: StrictBool = True
    target: Annotated[Text, Field(max_length=30)] | None = None


class CallTransferBody(Body):
    """All of an account's transfers; one that is absent is off."""

    model_config = _example(no_answer={"enabled": True, "target": "+390687654321"})

    unconditional: TransferBody | None = None
    no_answer: TransferBody | None = None
    unreachable: TransferBody | None = None

    def transfer(self) -> CallTransfer:
        """Return the transfers; one that is absent is off."""
        given = {one: getattr(self, one) or TransferBody(enabled=False) for one in Condition}
        return CallTransfer(
            **{condition: Transfer(one.enabled, one.target) for condition, one in given.items()}
        )


class NetworkBody(Body):
    """All of a network's CIDRs."""

    model_config = _example(cidrs=["198.51.100.0/24", "2001:db8:10::/48"])

    cidrs: list[Cidr] = Field(min_length=1, max_length=CIDRS_MAX)


class TrunkBody(Body):
    """A trunk to add; `project_id` and `fqdn` are a Teams trunk's."""

    model_config = _example(name="Carrier A", kind="carrier", host="203.0.113.5")

    name: Name
    kind: TrunkKind
    host: Host
    port: Port | None = None
    transport: Transport | None = None
    priority: TrunkPriority = 0
    keepalive: StrictBool = False
    project_id: Id | None = None
    fqdn: HostName | None = None

    def new(self) -> NewTrunk:
        """Return the trunk with what follows from its kind where it was left out."""
        usual = Transport.TLS if self.kind is TrunkKind.TEAMS else Transport.UDP
        transport = self.transport or usual
        return NewTrunk(
            **{**dict(self), "transport": transport, "port": self.port or transport.port}
        )


class TrunkPatch(Body):
    """JSON Merge Patch (RFC 7396) of what may change of a trunk."""

    model_config = _example(priority=10, keepalive=True)

    name: Name = ""
    host: Host = ""
    port: Port = 5060
    transport: Transport = Transport.UDP
    priority: TrunkPriority = 0
    keepalive: StrictBool = False
    fqdn: HostName | None = None


class NodeBody(Body):
    """A Kamailio node to join, and where it takes JSON-RPC."""

    model_config = _example(name="node2", rpc_url="http://10.0.0.12:8090/rpc")

    name: NodeName
    rpc_url: PrivateRpcUrl


class AnyNodeBody(NodeBody):
    """The same, of whoever may see the token that is shown there."""

    rpc_url: RpcUrl


class NamedBody(Body):
    """A customer or project to add."""

    model_config = _example(name="Bianchi S.r.l.", external_id="crm-4711")

    name: Name
    external_id: ExternalId | None = None


class ProjectBody(NamedBody):
    """A project to add; the operator names its customer."""

    model_config = _example(name="Milan office", external_id="crm-4711-1", customer_id=1)

    customer_id: Id | None = None


class NamedPatch(Body):
    """JSON Merge Patch (RFC 7396) of a customer or project."""

    model_config = _example(name="Bianchi S.p.A.")

    name: Name = ""
    external_id: ExternalId | None = None


class CallPolicyPatch(Body):
    """JSON Merge Patch (RFC 7396) of what a project's accounts may call; null is no cap."""

    model_config = _example(
        blocked_prefixes=["+39899", "+881"], daily_spend_cap="50.00", calls_per_second=20
    )

    allowed_prefixes: Prefixes = Field(default_factory=list)
    blocked_prefixes: Prefixes = Field(default_factory=list)
    daily_spend_cap: Euros | None = None
    calls_per_second: CallsPerSecond = 1


class UserBody(Body):
    """A user to add."""

    model_config = _example(email="anna@bianchi.example", name="Anna Bianchi", role="accounting")

    email: Email
    name: Name
    role: Role
    active: StrictBool = True
    customer_id: Id | None = None


class UserPatch(Body):
    """JSON Merge Patch (RFC 7396) of a user."""

    model_config = _example(active=False)

    email: Email = ""
    name: Name = ""
    role: Role = Role.READ_ONLY
    active: StrictBool = True


class TokenBody(Body):
    """A token to make: with a role and scope of its own, or those of a user."""

    model_config = _example(name="Portal", role="admin", customer_id=1)

    name: Name
    role: Role | None = None
    customer_id: Id | None = None
    project_id: Id | None = None
    user_id: Id | None = None
    expires_at: Moment | None = None


# Queries: everything arrives as text.


def _digits(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 20):
        raise ValueError("must be a number in digits")
    return value


def _month(value: object) -> object:
    if not isinstance(value, str) or not _MONTH.fullmatch(value):
        raise ValueError("must be a month like 2026-01")
    return date.fromisoformat(f"{value}-01")


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not contain the character NUL")
    return value


_Digits = BeforeValidator(_digits)
Limit = Annotated[int, _Digits, Field(ge=1, le=LIMIT_MAX)]
IdText = Annotated[int, _Digits, Field(ge=1, le=BIGINT_MAX)]
Word = Annotated[str, AfterValidator(_without_nul), Field(min_length=1, max_length=254)]
Month = Annotated[
    date,
    BeforeValidator(_month),
    WithJsonSchema({"type": "string", "pattern": "^[2-8][0-9]{3}-(0[1-9]|1[0-2])$"}),
]


class NoQuery(BaseModel):
    """A request that takes no query parameters."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(NoQuery):
    """A page of a list."""

    limit: Limit = LIMIT_DEFAULT
    cursor: Annotated[
        str, Field(max_length=1000, json_schema_extra={"pattern": "^[A-Za-z0-9_=-]*$"})
    ] = ""

    def filters(self) -> dict[str, Any]:
        """Return what the list is filtered by: all that is neither page nor order."""
        found = self.model_dump(exclude={"limit", "cursor", "sort"}, exclude_none=True)
        return found | ({"q": containing(found["q"])} if "q" in found else {})


class NumbersQuery(PageQuery):
    """Numbers of a kind; `choosable` are those that an account can take."""

    sort: Literal["number", "-number"] = "number"
    state: NumberState | None = None
    choosable: bool | None = None
    q: Word | None = None
    number: E164Number | None = None
    project: IdText | None = None
    customer: IdText | None = None
    account: IdText | None = None
    external_id: Word | None = None


class AccountsQuery(PageQuery):
    """Accounts of a kind; `q` is part of a name or number, `number` any of the account's own."""

    sort: Literal["id", "-id", "name", "-name", "main_number", "-main_number"] = "id"
    state: AccountState | None = None
    q: Word | None = None
    number: E164Number | None = None
    project: IdText | None = None
    customer: IdText | None = None
    external_id: Word | None = None


class NamedQuery(PageQuery):
    """Customers or projects."""

    sort: Literal["id", "-id", "name", "-name"] = "id"
    q: Word | None = None
    external_id: Word | None = None


class ProjectsQuery(NamedQuery):
    """Projects, perhaps of one customer."""

    customer: IdText | None = None


class TrunksQuery(PageQuery):
    """Trunks of a kind, or of a project."""

    sort: Literal["id", "-id", "name", "-name"] = "id"
    kind: TrunkKind | None = None
    project: IdText | None = None


class UsersQuery(PageQuery):
    """Users of a kind."""

    sort: Literal["id", "-id", "email", "-email"] = "id"
    q: Word | None = None
    role: Role | None = None
    active: bool | None = None
    customer: IdText | None = None


class TokensQuery(PageQuery):
    """Tokens of a kind."""

    sort: Literal["id", "-id"] = "id"
    user: IdText | None = None
    customer: IdText | None = None


class AuditQuery(PageQuery):
    """Audit events about something, of a type, or by someone; the latest first."""

    sort: Literal["-id", "id"] = "-id"
    type: Word | None = None
    subject: Word | None = None
    subject_id: Word | None = None
    via: Via | None = None
    customer: IdText | None = None
    project: IdText | None = None
    request_id: Word | None = None
    since: Moment | None = None
    until: Moment | None = None


class CallRecordsQuery(PageQuery):
    """Call records by when the call began; the latest first.

    As `csv` they come all at once: `limit` and `cursor` do not count.
    """

    sort: Literal["-started_at", "started_at"] = "-started_at"
    since: Moment | None = None
    until: Moment | None = None
    account: IdText | None = None
    project: IdText | None = None
    customer: IdText | None = None
    direction: Literal["in", "out"] | None = None
    caller: Word | None = None
    called: Word | None = None
    rated: bool | None = None
    format: Literal["json", "csv"] = "json"
    convention: Convention = Convention.ITALIAN

    def filters(self) -> dict[str, Any]:
        """Return what the list is filtered by, which is not how it is written."""
        found = super().filters()
        return {name: found[name] for name in found.keys() - {"format", "convention"}}


class SummaryQuery(NoQuery):
    """A month of the operator's calendar, perhaps of one customer, project or account."""

    month: Month
    account: IdText | None = None
    project: IdText | None = None
    customer: IdText | None = None


class RatesQuery(PageQuery):
    """Rates of a side or prefix, those that fit a number, those in force at a time."""

    sort: Literal["id", "-id", "prefix", "-prefix"] = "id"
    side: Side | None = None
    prefix: DestinationPrefix | None = None
    number: E164Number | None = None
    at: Moment | None = None
