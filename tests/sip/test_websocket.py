"""A softphone in a browser: it registers and calls over WebSocket, and no other page may."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page

from provisioner.stack.stack import Stack
from tests.sip.clients import Baresip, Credentials, Softphone, page_of
from tests.system import SOFTPHONE_ORIGIN, Line, System, eventually

pytestmark = pytest.mark.native  # needs a browser


@pytest.fixture
def url(stack: Stack) -> str:
    """Where browsers connect."""
    return f"wss://{stack.sip_address}:{stack.ws_port}/"


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page that may connect."""
    with page_of(browser, SOFTPHONE_ORIGIN) as page:
        yield page


def softphone(page: Page, url: str, line: Line) -> Softphone:
    """The registered softphone of an account."""
    phone = Softphone(page, url, line.credentials)
    assert phone.register().outcome == (200, "OK")
    return phone


def test_a_browser_registers(system: System, page: Page, url: str) -> None:
    line = system.new_line()
    phone = softphone(page, url, line)
    (binding,) = line.bindings()
    assert binding["transport"] == "ws"
    assert binding["user_agent"] == "softphone"
    phone.unregister()
    assert line.bindings() == []


def test_a_browsers_password_is_checked(system: System, page: Page, url: str) -> None:
    line = system.new_line()
    wrong = Credentials(line.credentials.username, "notthepassword", system.realm)
    assert Softphone(page, url, wrong).register().status == 401
    assert line.bindings() == []


def test_a_disabled_accounts_browser_is_told_so(system: System, page: Page, url: str) -> None:
    line = system.new_line(enabled=False)
    assert Softphone(page, url, line.credentials).register().status == 403


def test_a_page_of_another_origin_is_not_let_in(system: System, browser: Browser, url: str) -> None:
    """The page that may is the control: the same code, of another origin."""
    line = system.new_line()
    for origin, connected in [("https://evil.test", False), (SOFTPHONE_ORIGIN, True)]:
        with page_of(browser, origin) as page:
            assert Softphone(page, url, line.credentials).connect() is connected


def test_a_page_that_is_closed_leaves_no_binding(system: System, page: Page, url: str) -> None:
    line = system.new_line()
    phone = softphone(page, url, line)
    assert line.bindings()
    phone.close()
    eventually(lambda: line.bindings() == [])


def test_disabling_throws_a_browser_out(system: System, page: Page, url: str) -> None:
    line = system.new_line()
    softphone(page, url, line)
    line.disable()
    assert line.bindings() == []


# Between a browser and a desk phone voice goes through rtpengine, which knows the ways of both.

HEARD = 50  # packets: a second of talk


@pytest.fixture
def desk(system: System) -> Iterator[Baresip]:
    """The registered desk phone of another account, which plays back what it hears."""
    line, place = system.new_line(), system.internet
    with Baresip(place.registrar, line.credentials, place.client) as desk:
        assert desk.register().accepted
        yield desk


def address(system: System, phone: Baresip | Line) -> str:
    return f"sip:{phone.credentials.username}@{system.realm}"


def test_a_browser_calls_a_desk_phone(system: System, page: Page, url: str, desk: Baresip) -> None:
    phone = softphone(page, url, system.new_line())
    phone.dial(address(system, desk))
    desk.wait_incoming(timeout=10)
    desk.answer()
    phone.wait_established()
    assert eventually(lambda: phone.heard() >= HEARD)
    phone.hangup()
    desk.wait_closed(timeout=10)


def test_a_desk_phone_calls_a_browser(system: System, page: Page, url: str, desk: Baresip) -> None:
    line = system.new_line()
    phone = softphone(page, url, line)
    desk.dial(address(system, line))
    assert desk.credentials.username in phone.wait_incoming()
    phone.answer()
    phone.wait_established()
    desk.wait_established(timeout=10)
    assert eventually(lambda: phone.heard() >= HEARD)
    desk.hangup()
    phone.wait_closed()


def test_a_browser_calls_a_browser(system: System, browser: Browser, url: str) -> None:
    lines = system.new_line(), system.new_line()
    with page_of(browser, SOFTPHONE_ORIGIN) as one, page_of(browser, SOFTPHONE_ORIGIN) as other:
        caller, callee = softphone(one, url, lines[0]), softphone(other, url, lines[1])
        caller.dial(address(system, lines[1]))
        callee.wait_incoming()
        callee.answer()
        caller.wait_established()
        callee.wait_established()
        assert eventually(lambda: caller.heard() >= HEARD and callee.heard() >= HEARD)
        lines[1].disable()
        assert caller.wait_closed()


@pytest.mark.parametrize("taker", ["browser", "desk phone"])
def test_an_accounts_browser_and_desk_phone_ring_and_either_may_take_the_call(
    system: System, browser: Browser, page: Page, url: str, desk: Baresip, taker: str
) -> None:
    """Each is offered voice in its own way."""
    line = Line(system.api, 0, "", desk.credentials)
    with page_of(browser, SOFTPHONE_ORIGIN) as other:
        beside = softphone(other, url, line)
        caller = softphone(page, url, system.new_line())
        caller.dial(address(system, desk))
        beside.wait_incoming()
        desk.wait_incoming(timeout=10)
        (beside if taker == "browser" else desk).answer()
        caller.wait_established()
        assert eventually(lambda: caller.heard() >= HEARD)
        if taker == "browser":
            assert eventually(lambda: beside.heard() >= HEARD)
        caller.hangup()
