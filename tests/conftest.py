"""The system that all tests share: natively a stack of our own, in the harness the one given."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioner.stack.stack import Stack
from tests.api import Api
from tests.system import System, harness_system, native_system

SYNC_INTERVAL = "2"  # seconds between comparisons, so that repairs show soon


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """PostgreSQL, provisioner, worker and Kamailio on free ports of this machine."""
    directory: Path = tmp_path_factory.mktemp("stack")
    with Stack(directory, environ={"SYNC_INTERVAL": SYNC_INTERVAL}, durable=False) as stack:
        yield stack


@pytest.fixture(scope="session")
def system(request: pytest.FixtureRequest) -> System:
    """The running system as its users see it: the API's address, and Kamailio's."""
    if "TEST_API_URL" in os.environ:
        system = harness_system(os.environ)
    else:
        system = native_system(request.getfixturevalue("stack"))
    system.api.put("/networks/cloudfire", {"cidrs": [system.cloudfire_cidr]}, wait=10).expect(200)
    return system


@pytest.fixture
def api(system: System) -> Api:
    """The HTTP API with the Admin's token."""
    return system.api
