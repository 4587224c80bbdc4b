"""Rows of Kamailio's tables that somebody edits or deletes by hand: all are put right."""

from time import monotonic
from typing import Any

import pyrage
import pytest

from provisioner.kamailio import KamailioNode
from tests.conftest import SYNC_INTERVAL
from tests.figures import Figures
from tests.sip.conftest import Database
from tests.sip.test_imports import account_lines, imported
from tests.system import System, eventually

pytestmark = pytest.mark.native

PASS = 10.0  # seconds that one comparison itself may take on a busy machine

SUBSCRIBER = "SELECT * FROM kamailio.subscriber WHERE account_id IS NOT NULL ORDER BY username"
ADDRESS = (
    "SELECT network_id, grp, ip_addr, mask, port, tag FROM kamailio.address"
    " WHERE network_id IS NOT NULL ORDER BY ip_addr, mask"
)

# Of the rows that a query names by a remainder of 4 each suffers something else.
SUBSCRIBER_EDITS = (
    "DELETE FROM kamailio.subscriber WHERE username = ANY (%s) AND id %% 4 = 0",
    "UPDATE kamailio.subscriber SET ha1 = md5(ha1) WHERE username = ANY (%s) AND id %% 4 = 1",
    "UPDATE kamailio.subscriber SET registration_allowed = NOT registration_allowed"
    " WHERE username = ANY (%s) AND id %% 4 = 2",
    "UPDATE kamailio.subscriber SET allowed_networks = '0.0.0.0/0', channels = 1000"
    " WHERE username = ANY (%s) AND id %% 4 = 3",
)
ADDRESS_EDITS = (
    "DELETE FROM kamailio.address WHERE ip_addr = ANY (%s) AND id %% 4 = 0",
    "UPDATE kamailio.address SET mask = 24 WHERE ip_addr = ANY (%s) AND id %% 4 = 1",
    "UPDATE kamailio.address SET tag = 'by hand' WHERE ip_addr = ANY (%s) AND id %% 4 = 2",
    "UPDATE kamailio.address SET grp = 99 WHERE ip_addr = ANY (%s) AND id %% 4 = 3",
)


@pytest.mark.parametrize("rows", [100, pytest.param(1000, marks=pytest.mark.chaos)])
def test_what_is_edited_by_hand_is_repaired_within_a_period_and_audited(
    system: System,
    database: Database,
    kamailio: KamailioNode,
    figures: Figures,
    rows: int,
) -> None:
    usernames = new_accounts(system, rows // 2)
    addresses = [f"198.18.{n // 250}.{n % 250}" for n in range(rows // 2)]
    cidrs = [system.cloudfire_cidr, *(f"{address}/32" for address in addresses)]
    system.api.put("/networks/cloudfire", {"cidrs": cidrs}, wait=10).expect(200)
    try:
        before = tables(database)
        last = last_audited(database)
        began = monotonic()
        with database.transaction():
            edited = [
                database.execute(edit.encode(), [names]).rowcount
                for edits, names in ((SUBSCRIBER_EDITS, usernames), (ADDRESS_EDITS, addresses))
                for edit in edits
            ]
            assert tables(database) != before  # the control: edits show
        assert sum(edited) == rows
        assert all(edited)
        eventually(lambda: tables(database) == before, within=30)
        taken = monotonic() - began
        figures("rows edited or deleted by hand, all repaired after (s)", (rows, round(taken, 1)))
        audited = audited_since(database, last)
        assert set(usernames) <= audited
        assert {f"{address}/32" for address in addresses} <= audited
        eventually(lambda: {cidr for group, cidr in kamailio.allowlist() if group == 1} == {*cidrs})
        assert taken < float(SYNC_INTERVAL) + PASS
    finally:
        back = {"cidrs": [system.cloudfire_cidr]}
        system.api.put("/networks/cloudfire", back, wait=10).expect(200)


def new_accounts(system: System, count: int) -> list[str]:
    """Import accounts, and return their usernames."""
    first = int(system.new_number()[1:])
    numbers = [f"+{first + n}" for n in range(1, count + 1)]
    imported(system, "numbers", ["number", *numbers])
    query = f"&recipient={pyrage.x25519.Identity.generate().to_public()}"
    assert imported(system, "accounts", account_lines(numbers), query)["rows_done"] == count
    return [number[1:] for number in numbers]


def tables(database: Database) -> tuple[list[Any], list[Any]]:
    return content(database, SUBSCRIBER), content(database, ADDRESS)


def content(database: Database, query: str) -> list[Any]:
    """Return a table's rows without their ids, which a row that is made anew has new."""
    return [{**row, "id": None} for row in database.execute(query.encode()).fetchall()]


def last_audited(database: Database) -> int:
    row = database.execute("SELECT max(id) AS id FROM provisioner.audit_events").fetchone()
    assert row
    return int(row["id"])


def audited_since(database: Database, event: int) -> set[str]:
    """Return what the audit tells to be repaired."""
    found = database.execute(
        "SELECT subject_id FROM provisioner.audit_events WHERE id > %s AND type LIKE 'repair.%%'",
        [event],
    )
    return {row["subject_id"] for row in found.fetchall()}
