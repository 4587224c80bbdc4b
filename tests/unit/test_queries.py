"""Every run-time query has a name, and every name has a use."""

import re
from pathlib import Path

import pytest

from provisioner.queries import ACCOUNTS, NETWORKS, SYNC, TOKENS

PACKAGE = Path(__file__).parents[2] / "provisioner"
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.glob("*.py"))


@pytest.mark.parametrize(
    ("constant", "queries"),
    [("ACCOUNTS", ACCOUNTS), ("NETWORKS", NETWORKS), ("SYNC", SYNC), ("TOKENS", TOKENS)],
)
def test_each_query_is_used(constant: str, queries: object) -> None:
    used = set(re.findall(rf'{constant}\["(\w+)"\]', SOURCE))
    assert used == set(queries)  # type: ignore[call-overload] # all four are Queries
