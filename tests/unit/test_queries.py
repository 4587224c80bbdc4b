"""Every run-time query has a name, and every name has a use."""

import re
from pathlib import Path

import pytest

from provisioner import queries
from provisioner.db import Queries

PACKAGE = Path(__file__).parents[2] / "provisioner"
SOURCE = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
ALL = {name: value for name, value in vars(queries).items() if isinstance(value, Queries)}


@pytest.mark.parametrize("constant", ALL)
def test_each_query_is_used(constant: str) -> None:
    used = set(re.findall(rf'{constant}\["(\w+)"\]', SOURCE))
    assert used == set(ALL[constant])
