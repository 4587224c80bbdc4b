"""Logging in, in a browser."""

from playwright.sync_api import Page, expect

from provisioner.access import Role
from tests.console.conftest import People, log_in


def test_an_accountant_logs_in_and_sees_the_accounts(page: Page, people: People) -> None:
    log_in(page, people.new(Role.ACCOUNTING))
    expect(page.locator("h1")).to_have_text("Account SIP")
