"""The console's call details: an interval, its totals and days, as a page and as a file."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provisioner import call_days, db
from provisioner.access import Role
from provisioner.settings import Settings
from tests.integration.billing import record
from tests.integration.conftest import Client
from tests.integration.console import Visitor, logged_in


@pytest.fixture
def accountant(client: Client, admin: db.Connection) -> Visitor:
    return logged_in(client, admin, Role.ACCOUNTING)


@pytest.fixture
def account(client: Client, admin: db.Connection) -> Any:
    """An account with four calls: two on a day, one just after midnight in Rome, one in May."""
    account = client.new_account()
    record(admin, account, "2026-06-01T10:00:00Z")
    record(admin, account, "2026-06-01T11:00:00Z", direction="in", duration=30, cost_customer="0")
    record(admin, account, "2026-06-01T22:30:00Z", called="+390299999999")
    record(admin, account, "2026-05-31T21:00:00Z", called="+390288888888")
    return account


def test_an_interval_is_summed_up_in_the_operators_time_zone(
    accountant: Visitor, account: Any
) -> None:
    page = accountant.get("/calls?first=2026-06-01&last=2026-06-02").text
    figures = page[page.index('class="figures"') : page.index("</dl>")]
    assert figures.count("<dd>1</dd>") == 1  # incoming
    assert "<dd>2</dd>" in figures  # outgoing
    assert "<dd>3:30</dd>" in figures
    assert "<dd>0.30 €</dd>" in figures
    assert "<dd>0.40 €</dd>" in figures
    assert "+390288888888" not in page
    assert "6/2/26" in page  # the call that began after midnight


def test_calls_are_filtered_by_direction_and_account(
    client: Client, admin: db.Connection, accountant: Visitor, account: Any
) -> None:
    other = client.new_account("+390612345679")
    record(admin, other, "2026-06-01T10:00:00Z", called="+390277777777")
    interval = "first=2026-06-01&last=2026-06-02"
    page = accountant.get(f"/calls?{interval}&account={account['id']}").text
    assert "+390277777777" not in page
    assert "+390299999999" in page
    assert "+390299999999" not in accountant.get(f"/calls?{interval}&direction=in").text


def test_a_chart_leaves_room_for_days_without_calls(accountant: Visitor, account: Any) -> None:
    page = accountant.get("/calls?first=2026-05-30&last=2026-06-02").text
    bars = re.search(r'<path d="([^"]+)"', page)
    assert bars
    # Of four days of 12 units each the first has no call, the third two, the others one.
    assert bars[1] == "M12 100v-50h10V100zM24 100v-100h10V100zM36 100v-50h10V100z"
    assert 'viewBox="0 0 48 100"' in page


def test_a_long_interval_is_shown_by_month(accountant: Visitor, account: Any) -> None:
    page = accountant.get("/calls?first=2026-01-01&last=2026-06-30").text
    assert "Calls by month" in page
    assert "May 2026" in page
    assert "June 2026" in page


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("first=2026-06-02&last=2026-06-01", 'id="last-error">Must not be before the first day.'),
        ("first=0001-01-01&last=0001-01-01", 'id="first-error">Must be a date.'),
        ("first=soon", 'id="first-error">Must be a date.'),
        ("first=2020-01-01&last=2026-01-01", 'id="last-error">Must be within a year'),
    ],
)
def test_an_interval_that_cannot_be_is_told_beside_its_field(
    accountant: Visitor, query: str, error: str
) -> None:
    answer = accountant.get(f"/calls?{query}")
    assert answer.status_code == 200
    assert error in answer.text


@pytest.mark.parametrize(
    "query", ["account=%2B39061234", "project=x", "direction=up", f"cursor={'x' * 2000}"]
)
def test_a_filter_that_cannot_be_never_means_all_calls(accountant: Visitor, query: str) -> None:
    assert accountant.get(f"/calls?{query}").status_code == 404
    assert accountant.get(f"/calls/file?{query}").status_code == 404


def test_no_file_is_given_of_an_interval_that_cannot_be(accountant: Visitor) -> None:
    assert accountant.get("/calls/file?first=2026-06-02&last=2026-06-01").status_code == 404


def test_the_file_is_that_of_the_api(client: Client, accountant: Visitor, account: Any) -> None:
    answer = accountant.get("/calls/file?first=2026-06-01&last=2026-06-02")
    assert answer.mimetype == "text/csv"
    assert "calls-2026-06-01-2026-06-02.csv" in answer.headers["Content-Disposition"]
    query = "since=2026-05-31T22:00:00Z&until=2026-06-02T22:00:00Z&format=csv"
    assert answer.text == client("GET", f"/call-records?{query}").text
    assert answer.text.count("\r\n") == 4


def test_another_customers_calls_are_not_among_them(
    client: Client, admin: db.Connection, account: Any
) -> None:
    customer = client.create("/customers", name="Verdi")
    stranger = logged_in(client, admin, Role.ADMIN, customer["id"])
    for path in ("/calls", "/calls/file"):
        page = stranger.get(f"{path}?first=2026-06-01&last=2026-06-02&account={account['id']}").text
        assert account["main_number"] not in page


# Days that are over are summed up by a worker. What a page shows must not depend on it.

TODAY = datetime.now(UTC).date()
DAY, NEXT = TODAY - timedelta(days=10), TODAY - timedelta(days=9)
BOTH = f"first={DAY}&last={NEXT}"


@pytest.fixture
def past(client: Client, admin: db.Connection) -> Any:
    """An account with calls of days that are over: one in, two out, one of them on the next day."""
    account = client.new_account()
    record(admin, account, f"{DAY}T10:00:00Z")
    record(admin, account, f"{DAY}T11:00:00Z", direction="in", duration=30, cost_customer="0")
    record(admin, account, f"{NEXT}T10:00:00Z")
    return account


@pytest.fixture
def sum_up(settings: Settings) -> Iterator[Callable[[], None]]:
    """What a worker does once a minute."""
    with db.connect(settings.database_url, autocommit=True) as connection:

        def until_done() -> None:
            while call_days.sum_up(connection):
                pass

        yield until_done


def sums(visitor: Visitor, query: str = BOTH) -> str:
    """Return the totals, charts and days that a page shows."""
    page = visitor.get(f"/calls?{query}").text
    return page[page.index('class="figures"') : page.index("</section>")]


def test_a_page_shows_the_same_when_its_days_are_summed_up(
    client: Client, admin: db.Connection, past: Any, sum_up: Callable[[], None]
) -> None:
    """To the operator, to a customer's person; of a project, of an account, in one direction."""
    customer = client.create("/customers", name="Verdi")
    project = client.create("/projects", name="Sede", customer_id=customer["id"])
    client.create("/numbers", number="+390612345679", project_id=project["id"])
    theirs = client.create(
        "/sip-accounts",
        name="Negozio",
        main_number="+390612345679",
        voice_channels=2,
        project_id=project["id"],
    )
    record(admin, theirs, f"{DAY}T09:00:00Z", duration=7, cost_customer=None)
    record(admin, theirs, f"{NEXT}T09:00:00Z", duration=11, direction="in")
    people = [logged_in(client, admin, Role.ACCOUNTING, of) for of in (None, customer["id"])]
    queries = [
        *(BOTH, f"{BOTH}&direction=in", f"{BOTH}&direction=out"),
        *(f"{BOTH}&project={one['project_id']}" for one in (past, theirs)),
        *(f"{BOTH}&account={one['id']}" for one in (past, theirs)),
        f"first={TODAY - timedelta(days=99)}&last={TODAY}",
    ]
    before = [sums(one, query) for one in people for query in queries]
    assert len(set(before)) >= len(queries)
    sum_up()
    assert [sums(one, query) for one in people for query in queries] == before


def test_sums_are_read_where_there_are_some(
    admin: db.Connection, accountant: Visitor, past: Any, sum_up: Callable[[], None]
) -> None:
    """So that the tests beside this one show something."""
    sum_up()
    admin.execute("UPDATE provisioner.call_days SET calls = 77 WHERE direction = 'out'")
    assert "<dd>154</dd>" in sums(accountant)


@pytest.mark.parametrize(
    ("change", "outgoing"),
    [
        ("UPDATE provisioner.call_records SET direction = 'out'", 3),
        ("DELETE FROM provisioner.call_records WHERE duration = 90", 0),
        (None, 3),  # a call is added
    ],
)
def test_a_late_change_of_a_day_is_seen_at_once(
    admin: db.Connection,
    accountant: Visitor,
    past: Any,
    sum_up: Callable[[], None],
    change: str | None,
    outgoing: int,
) -> None:
    """And when the day has been summed up again."""
    sum_up()
    assert "<dd>2</dd>" in sums(accountant)
    if change:
        admin.execute(change.encode())
    else:
        record(admin, past, f"{DAY}T12:00:00Z")
    seen = sums(accountant)
    assert f"<dd>{outgoing}</dd>" in seen
    sum_up()
    assert sums(accountant) == seen
    assert admin.execute("SELECT FROM provisioner.changed_days").fetchone() is None
    row = admin.execute("SELECT FROM provisioner.summed_days WHERE day = %s", [DAY]).fetchone()
    assert row is not None


def test_a_day_that_is_not_over_is_not_summed_up(
    admin: db.Connection, past: Any, sum_up: Callable[[], None]
) -> None:
    sum_up()
    record(admin, past, datetime.now(UTC).isoformat())
    sum_up()
    row = admin.execute("SELECT max(day) AS last FROM provisioner.summed_days").fetchone()
    assert row
    assert NEXT < row["last"] < datetime.now(UTC).date()


def test_the_end_of_a_call_of_this_hour_notes_nothing(admin: db.Connection, past: Any) -> None:
    admin.execute("DELETE FROM provisioner.changed_days")
    record(admin, past, datetime.now(UTC).isoformat(), status=486)
    admin.execute("UPDATE provisioner.call_records SET missed_rates = 1 WHERE status = 486")
    assert admin.execute("SELECT FROM provisioner.changed_days").fetchone() is None
