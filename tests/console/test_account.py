"""An account's page in a browser: what changes on it without a reload."""

from playwright.sync_api import Page, expect

from provisioner.access import Role
from tests.console.conftest import People, log_in
from tests.sip.clients import Baresip
from tests.system import System


def test_a_phone_that_registers_is_shown_at_once_and_can_be_dropped(
    page: Page, people: People, system: System
) -> None:
    line = system.new_line()
    log_in(page, people.new(Role.TECHNICIAN))
    page.goto(f"/console/accounts/{line.id}/registrations")
    bindings = page.locator("#bindings")
    expect(bindings).to_contain_text("Nessun telefono è registrato.")
    with Baresip(system.internet.registrar, line.credentials, system.internet.client) as phone:
        assert phone.register().status == 200
        expect(bindings.locator("tbody tr")).to_have_count(1)
        expect(bindings).to_contain_text(f"{system.internet.client}:{phone.port}")
        bindings.get_by_role("button").click()
        expect(page.locator(".banner.success")).to_contain_text("La registrazione è stata rimossa")
        expect(bindings).to_contain_text("Nessun telefono è registrato.")
    assert line.bindings() == []


def test_what_somebody_else_does_to_the_state_is_shown_at_once(
    page: Page, people: People, system: System
) -> None:
    line = system.new_line(enabled=False)
    log_in(page, people.new(Role.SALES))
    page.goto(f"/console/accounts/{line.id}")
    expect(page.locator("#state")).to_have_text("Disabilitato")
    line.enable()
    expect(page.locator("#state")).to_have_text("Abilitato")
    expect(page.locator("#convergence")).to_have_text("Attivo su 1 di 1 nodi")
    expect(page.locator("#announcer")).not_to_be_empty()
