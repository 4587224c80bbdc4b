"""How call records, what they cost, and rates are shown. Money is euro, as text: exact decimals."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import PlainSerializer, WithJsonSchema

from provisioner.api.view import EXAMPLE_TIME, Time, View, example
from provisioner.model import Tariff
from provisioner.pricing import Side

_MONEY = WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?$"})
Money = Annotated[Decimal, PlainSerializer(lambda amount: f"{amount:f}", return_type=str), _MONEY]


class CallRecordView(View):
    """One leg of a call that has ended; a cost is null until there is a rate for it."""

    model_config = example(
        id=1,
        call=1,
        account_id=1,
        account_number="+390612345678",
        customer_id=1,
        customer_name="Bianchi S.r.l.",
        project_id=1,
        project_name="Milan office",
        tariff="pay_per_use",
        direction="out",
        transferred=False,
        emergency=False,
        caller="+390612345678",
        called="+393331234567",
        started_at=EXAMPLE_TIME,
        answered_at=EXAMPLE_TIME,
        ended_at=EXAMPLE_TIME,
        duration=61,
        status=200,
        node_lost=False,
        cost_operator="0.0203",
        cost_customer="0.0915",
        rated_at=EXAMPLE_TIME,
    )

    id: int
    call: int
    account_id: int
    account_number: str
    customer_id: int
    customer_name: str
    project_id: int
    project_name: str
    tariff: Tariff
    direction: Literal["in", "out"]
    transferred: bool
    emergency: bool
    caller: str
    called: str
    started_at: Time
    answered_at: Time | None
    ended_at: Time
    duration: int
    status: int
    node_lost: bool
    cost_operator: Money | None
    cost_customer: Money | None
    rated_at: Time | None


_TOTAL: dict[str, Any] = {
    "customer_id": 1,
    "customer_name": "Bianchi S.r.l.",
    "project_id": 1,
    "project_name": "Milan office",
    "account_id": 1,
    "account_number": "+390612345678",
    "calls": 2,
    "seconds": 122,
    "unrated": 0,
    "cost_operator": "0.04",
    "cost_customer": "0.18",
}


class TotalView(View):
    """The calls of an account, or of a project where `account_id` is null."""

    model_config = example(**_TOTAL)

    customer_id: int
    customer_name: str
    project_id: int
    project_name: str
    account_id: int | None
    account_number: str | None
    calls: int
    seconds: int
    unrated: int
    cost_operator: Money
    cost_customer: Money


class SummaryView(View):
    """The calls that began within a month, by account and by project."""

    model_config = example(
        month="2026-01",
        since="2025-12-31T23:00:00.000Z",
        until="2026-01-31T23:00:00.000Z",
        accounts=[_TOTAL],
        projects=[_TOTAL | {"account_id": None, "account_number": None}],
    )

    month: str
    since: Time
    until: Time
    accounts: list[TotalView]
    projects: list[TotalView]


class RateView(View):
    """The price of calls to numbers with a prefix, and when it is in force."""

    model_config = example(
        id=1,
        side="customer",
        prefix="+393",
        description="Italy mobile",
        connection_fee="0.050000",
        price_per_minute="0.090000",
        first_interval=60,
        next_interval=30,
        flat=True,
        valid_from=EXAMPLE_TIME,
        valid_until=None,
    )

    id: int
    side: Side
    prefix: str
    description: str
    connection_fee: Money
    price_per_minute: Money
    first_interval: int
    next_interval: int
    flat: bool
    valid_from: Time
    valid_until: Time | None


class RatesImportedView(View):
    """What a file of rates has brought; `ended` are former rates that end earlier than they did."""

    model_config = example(added=2, ended=1, unchanged=0)

    added: int
    ended: int
    unchanged: int
