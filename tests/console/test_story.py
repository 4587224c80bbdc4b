"""The whole story in a browser: from the login to a phone that is registered, and back."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from provisioner.access import Role
from tests.console.conftest import People, Person, log_in
from tests.console.phones import ProvisionedLinphone
from tests.secrecy import SECRETS
from tests.sip.clients import Baresip, Credentials
from tests.system import System

CLICKS_MAX = 10


@dataclass
class Hand:
    """A person's hand, which counts how often it clicks; typing and tabbing are no clicks."""

    page: Page
    clicks: int = 0

    def click(self, role: str, name: str) -> None:
        """Click what has a role and a name, both as a screen reader has them."""
        self.page.get_by_role(role, name=name, exact=True).first.click()  # type: ignore[arg-type] # a text of ours, no literal
        self.clicks += 1


@pytest.fixture
def accountant(people: People) -> Person:
    """Somebody of the operator's Contabilità."""
    return people.new(Role.ACCOUNTING)


def create(hand: Hand, name: str, number: str) -> None:
    """Go from the list to the page with the credentials."""
    page = hand.page
    hand.click("link", "Nuovo Account SIP")
    page.get_by_label("Nome", exact=True).fill(name)
    choose_number(page, number)
    page.get_by_label("Canali voce").fill("2")
    hand.click("button", "Continua")
    expect(page.locator("main dl")).to_contain_text(number)
    hand.click("button", "Crea Account SIP")
    expect(page.locator("#username")).to_have_text(number.removeprefix("+"))


def choose_number(page: Page, number: str) -> None:
    """Choose it, or type it in where there are many."""
    field = page.locator("#main_number")
    if field.evaluate("field => field.tagName") == "SELECT":
        field.select_option(number)
    else:
        field.fill(number)


def credentials_on(page: Page) -> Credentials:
    """Read off the page what a device needs."""
    username, password, realm = (
        page.locator(f"#{name}").inner_text() for name in ("username", "password", "realm")
    )
    SECRETS.saw(password, "a password")
    return Credentials(username, password, realm)


@pytest.fixture
def phone(system: System) -> Iterator[list[Baresip]]:
    """Phones that are switched off in the end."""
    phones: list[Baresip] = []
    yield phones
    for one in phones:
        one.stop()


def test_the_story_of_an_account(
    page: Page, system: System, accountant: Person, phone: list[Baresip]
) -> None:
    """Created, enabled, registered, shown without a reload, disabled, gone, deleted."""
    number = system.new_number()
    log_in(page, accountant)
    hand = Hand(page)
    create(hand, f"Storia {number}", number)
    credentials = credentials_on(page)
    device = Baresip(system.internet.registrar, credentials, system.internet.client)
    phone.append(device)
    assert device.register().outcome == (403, "Account Disabled")

    shown = page.url
    page.evaluate("window.untouched = true")
    hand.click("button", "Abilita")
    expect(page.locator("#step-enabled")).to_contain_text(re.compile("Attivo su 1 di 1 nod"))
    assert device.register().status == 200
    expect(page.locator("#step-registered")).to_contain_text("Il telefono è registrato")
    expect(page.locator("#step-registered")).to_contain_text(system.internet.client)
    expect(page.locator("#step-registered")).to_contain_text("baresip")
    expect(page.locator("#password")).to_have_text(credentials.password)
    assert page.url == shown
    assert page.evaluate("window.untouched")

    page.get_by_role("link", name="Ho la password").click()
    expect(page.locator("#state")).to_contain_text("Abilitato")
    expect(page.locator(".banner")).to_have_count(0)
    expect(page.locator("#registered")).to_contain_text(system.internet.client)
    hand.click("button", "Disabilita")
    expect(page.locator("#state")).to_contain_text("Disabilitato")
    expect(page.locator("#registered")).not_to_contain_text(system.internet.client)
    assert device.register().outcome == (403, "Account Disabled")
    hand.click("link", "Elimina")
    hand.click("button", "Elimina definitivamente")
    page.wait_for_url("**/console/accounts")
    account = f"/sip-accounts?number={number.replace('+', '%2B')}"
    assert system.api.get(account).expect(200)["items"] == []
    assert not device.register().accepted


def test_from_the_login_to_a_registered_phone_in_ten_clicks(
    page: Page, system: System, accountant: Person, phone: list[Baresip]
) -> None:
    """By the mouse alone, from the login page on; copying the password counts, too."""
    number = system.new_number()
    page.goto("/console/login")
    hand = Hand(page)
    page.get_by_label("Indirizzo e-mail").fill(accountant.email)
    page.get_by_label("Password").fill(accountant.password)
    hand.click("button", "Accedi")
    create(hand, f"Dieci {number}", number)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    hand.click("button", "Copia: Password")
    copied = page.evaluate("navigator.clipboard.readText()")
    credentials = credentials_on(page)
    assert copied == credentials.password
    hand.click("button", "Abilita")
    device = Baresip(system.internet.registrar, credentials, system.internet.client)
    phone.append(device)
    expect(page.locator("#step-enabled")).to_contain_text("Attivo")
    assert device.register().status == 200
    expect(page.locator("#step-registered")).to_contain_text("Il telefono è registrato")
    assert hand.clicks <= CLICKS_MAX


def test_linphone_configures_itself_from_the_address_in_the_code(
    page: Page, system: System, accountant: Person
) -> None:
    """It fetches its settings, registers, and forgets the address, which holds once."""
    number = system.new_number()
    log_in(page, accountant)
    hand = Hand(page)
    create(hand, f"Linphone {number}", number)
    hand.click("button", "Abilita")
    expect(page.locator("#step-enabled")).to_contain_text("Attivo")
    address = page.locator("#address").text_content()
    assert address
    with ProvisionedLinphone(system.internet, address) as linphone:
        assert linphone.register(timeout=20).status == 200
        expect(page.locator("#step-registered")).to_contain_text("Il telefono è registrato")
        assert address not in linphone.configuration()


def test_without_a_script_the_credentials_stay(
    page: Page, system: System, accountant: Person
) -> None:
    """Enabling opens another page, because this one cannot be had again."""
    number = system.new_number()
    assert page.context.browser
    context = page.context.browser.new_context(
        base_url=system.api.url, locale="it-IT", java_script_enabled=False
    )
    plain = context.new_page()
    log_in(plain, accountant)
    hand = Hand(plain)
    create(hand, f"Senza script {number}", number)
    with context.expect_page() as opened:
        hand.click("button", "Abilita")
    expect(opened.value.locator("#state")).to_contain_text("Abilitato")
    expect(plain.locator("#password")).not_to_be_empty()
    context.close()


def test_of_many_numbers_those_with_the_digits_typed_are_offered(
    page: Page, system: System, people: People
) -> None:
    customer = system.api.post("/customers", {"name": "Molti numeri"}).expect(201)["id"]
    project = {"name": "Sede", "customer_id": customer}
    project_id = system.api.post("/projects", project).expect(201)["id"]
    numbers = [system.new_number(project_id=project_id) for _ in range(101)]
    log_in(page, people.new(Role.ACCOUNTING, customer_id=customer))
    page.goto("/console/accounts/new")
    offered = page.locator("#numbers option")
    expect(offered).to_have_count(100)
    page.get_by_label("Numerazione Principale").press_sequentially(numbers[70][-9:])
    expect(offered).to_have_count(1)
    expect(offered).to_have_attribute("value", numbers[70])


@pytest.mark.parametrize("language", ["it", "en"])
def test_the_pages_of_a_new_account_can_be_used_by_everybody(
    page: Page, system: System, people: People, language: str
) -> None:
    """Those that a form answers with; axe finds no violation, and nothing is wider than a phone."""
    number = system.new_number()
    log_in(page, people.new(Role.ACCOUNTING, language=language))
    page.emulate_media(reduced_motion="reduce")
    page.goto("/console/accounts/new")
    send = page.locator("main form button").first
    page.locator("main form").evaluate("form => { form.noValidate = true; }")
    send.click()
    expect(page.locator("#name-error")).to_be_visible()
    check_accessible(page)
    page.locator("#name").fill(f"Lettore {number} {language}")
    choose_number(page, number)
    send.click()
    expect(page.locator("main dl")).to_contain_text(number)
    check_accessible(page)
    send.click()
    expect(page.locator("#password")).to_be_visible()
    for summary in page.locator("summary").all():
        summary.click()
    check_accessible(page)
    page.reload()
    expect(page.locator("#password")).to_have_count(0)
    check_accessible(page)


def check_accessible(page: Page) -> None:
    """Look at a page in both colour schemes, on a desk and on a phone."""
    for scheme, width in (("light", 360), ("dark", 1280)):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type] # a text of ours, no literal
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = Axe().run(page).response["violations"]
        assert not found, [(one["id"], one["nodes"][0]["html"]) for one in found]
