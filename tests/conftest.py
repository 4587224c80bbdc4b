"""The system that all tests share: natively a stack of our own, in the harness the one given.
And which tests run only when they are asked for.
"""

import logging
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from secrets import token_hex

import hypothesis
import pytest
from playwright.sync_api import Browser, sync_playwright

from provisioner.stack.stack import Stack
from tests.api import Api
from tests.figures import FIGURE, Figures, recorder, tell
from tests.secrecy import SECRETS, Watch
from tests.sip.clients import Authority
from tests.system import SOFTPHONE_ORIGIN, System, harness_system, native_system

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    # a microphone that beeps, and is given without asking
    *("--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"),
]
SYNC_INTERVAL = "2"  # seconds between comparisons, so that repairs show soon

# Too long for each run: such a test runs where `-m` names its mark, as `make attack` does.
LONG = ("attack", "chaos")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the long tests that nobody has asked for."""
    asked = set(re.findall(r"\w+", config.option.markexpr))
    unwanted = [mark for mark in LONG if mark not in asked]
    long = [item for item in items if any(map(item.get_closest_marker, unwanted))]
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if item not in long]
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


def pytest_configure() -> None:
    """Look through all that is logged in this process; no example is wrong because a machine that
    is busy took its time for it.
    """
    too_slow = [hypothesis.HealthCheck.too_slow]
    hypothesis.settings.register_profile("busy", deadline=None, suppress_health_check=too_slow)
    hypothesis.settings.load_profile("busy")
    logging.getLogger().addHandler(Watch(SECRETS))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the figures that the tests have measured."""
    tell(terminalreporter, FIGURE, "figures")


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Figures:
    """Tell a figure: `figures("guesses a minute", 9.8)` is listed at the end of the run."""
    return recorder(record_property)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Who says whose certificate is good, to Kamailio and to the tests."""
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory, authority: Authority) -> Iterator[Stack]:
    """PostgreSQL, provisioner, worker and Kamailio on free ports of this machine."""
    directory: Path = tmp_path_factory.mktemp("stack")
    own = authority.issue("*.sbc.test", "127.0.0.1")
    environ = {
        "SYNC_INTERVAL": SYNC_INTERVAL,
        "KAMAILIO_TRUNK_PING_INTERVAL": "1",
        # Everybody is behind few addresses here.
        "KAMAILIO_REQUESTS_PER_SECOND": "100000",
        "KAMAILIO_ADDRESS_GUESSES": "100000",
        "KAMAILIO_TLS_CERTIFICATE": str(own.certificate),
        "KAMAILIO_TLS_PRIVATE_KEY": str(own.private_key),
        "KAMAILIO_TLS_CA": str(authority.certificate),
        "KAMAILIO_WS_ORIGINS": f"https://other.test,{SOFTPHONE_ORIGIN}",
        # Tests look into the node, and do to it what nobody else may.
        "KAMAILIO_RPC_ROOT_TOKEN": token_hex(32),
    }
    with Stack(directory, environ=environ, durable=False) as stack:
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One browser for all tests."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()
