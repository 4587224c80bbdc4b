"""Takes the pictures of the console that the documentation shows: `make screenshots`."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from provisioner import db, passwords
from provisioner.stack.stack import Stack
from tests.conftest import CHROMIUM, FLAGS
from tests.console.conftest import PASSWORD
from tests.sip.clients import Baresip, Credentials
from tests.system import System, eventually, native_system

FOLDER = Path("docs/screenshots")
DESK, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
NAMES = [
    ("Reception", "enabled"),
    ("Ufficio vendite", "enabled"),
    ("Sala riunioni", "disabled"),
    ("Magazzino", "enabled"),
    ("Centralino Milano", "linked_to_teams"),
    ("Amministrazione", "enabled"),
    ("Telelavoro Anna", "disabled"),
]
# Some calls of the last three weeks, fewer on Sundays.
CALLS = """
    INSERT INTO provisioner.call_records
           (id, call, account_id, account_number, customer_id, customer_name, project_id,
            project_name, tariff, direction, transferred, emergency, caller, called, node,
            started_at, answered_at, ended_at, duration, status, node_lost, cost_operator,
            cost_customer, rated_at)
    SELECT i, i, account.id, main_number, customer_id, 'Bianchi S.r.l.', project_id, 'Milano',
           tariff, CASE WHEN i % 3 = 0 THEN 'in' ELSE 'out' END, false, false,
           CASE WHEN i % 3 = 0 THEN '+393331234567' ELSE main_number END,
           CASE WHEN i % 3 = 0 THEN main_number ELSE '+393331234567' END, 'node1', moment, moment,
           moment + make_interval(secs => i * 37 % 400), i * 37 % 400, 200, false,
           CASE WHEN i % 3 = 0 THEN 0 ELSE i * 37 % 400 * 0.0002 END,
           CASE WHEN i % 3 = 0 THEN 0 ELSE i * 37 % 400 * 0.0005 END, moment
      FROM generate_series(1, 160) AS i
      JOIN provisioner.sip_accounts AS account ON account.id = 1 + i % 4,
           LATERAL (SELECT now() - i * interval '191 minutes' AS moment) AS spread
     WHERE extract(isodow FROM moment) < 7 OR i % 3 = 0
"""
ACTIONS = {"enabled": "enable", "linked_to_teams": "link-to-teams"}


def main() -> None:
    """Take them all."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        stack = held.enter_context(Stack(Path(folder), durable=False))
        system = native_system(stack)
        credentials = people_the_world(system)
        phone = Baresip(system.internet.registrar, credentials, system.internet.client)
        held.enter_context(phone).register()
        eventually(lambda: system.api.get("/sip-accounts/1/registrations").json["items"])
        playwright = held.enter_context(sync_playwright())
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        email = new_person(stack, system)
        take(browser, system, email, "light", DESK, take_all)
        take(browser, system, email, "dark", DESK, lambda page: one(page, "/accounts", "dark"))
        take(browser, system, email, "light", PHONE, lambda page: one(page, "/accounts/1", "phone"))
        browser.close()


def people_the_world(system: System) -> Credentials:
    """Make accounts in all states; return the credentials of the first."""
    api = system.api
    api.put("/networks/cloudfire", {"cidrs": ["198.51.100.0/24"]}, wait=10).expect(200)
    shown: dict[str, dict[str, str]] = {}
    for i, (name, state) in enumerate(NAMES):
        number = f"+39025550{i:04d}"
        api.post("/numbers", {"number": number}).expect(201)
        body = {"name": name, "main_number": number, "voice_channels": 2 + i}
        account = api.post("/sip-accounts", body).expect(201)
        shown.setdefault("first", account["credentials"])
        if state in ACTIONS:
            api.post(f"/sip-accounts/{account['id']}/{ACTIONS[state]}", wait=10).expect(200)
    for i in range(3):
        api.post("/numbers", {"number": f"+39025559{i:04d}"}).expect(201)
    first = shown["first"]
    return Credentials(first["username"], first["password"], first["realm"])


def new_person(stack: Stack, system: System) -> str:
    """Add the person whose pages are shown, and the calls that he sees."""
    email = "anna@talkytime.example"
    body = {"email": email, "name": "Anna Bianchi", "role": "admin"}
    user = system.api.post("/users", body).expect(201)
    with db.connect(stack.database_admin_url, autocommit=True) as connection:
        connection.execute(
            "UPDATE provisioner.users SET password_hash = %s WHERE id = %s",
            (passwords.hashed(PASSWORD), user["id"]),
        )
        connection.execute(CALLS.encode())
    return email


def take(
    browser: Browser, system: System, email: str, scheme: str, size: ViewportSize, show: object
) -> None:
    """Take pictures in a window of its own."""
    context = browser.new_context(
        base_url=system.api.url,
        color_scheme=scheme,  # type: ignore[arg-type] # a text from a list of ours
        viewport=size,
    )
    page = context.new_page()
    page.goto("/console/login")
    page.locator("#email").fill(email)
    page.locator("#password").fill(PASSWORD)
    page.locator("main form button").click()
    page.wait_for_url("**/console/accounts")
    assert callable(show)
    show(page)
    context.close()


def one(page: Page, path: str, name: str) -> None:
    """Take a picture of a page."""
    page.goto(f"/console{path}")
    page.screenshot(path=FOLDER / f"{name}.png")


def take_all(page: Page) -> None:
    """Take the main pages; the last one is that of new credentials, which changes the world."""
    for path, name in (
        ("/accounts", "accounts"),
        ("/accounts/1", "account"),
        ("/accounts/1/advanced", "transfer"),
        ("/calls", "calls"),
        ("/nodes", "nodes"),
    ):
        one(page, path, name)
    page.goto("/console/accounts/new")
    page.get_by_label("Nome").fill("Portineria")
    page.locator("#main_number").select_option(index=1)
    page.get_by_label("Canali voce").fill("2")
    page.screenshot(path=FOLDER / "new.png")
    page.get_by_role("button", name="Continua").click()
    page.get_by_role("button", name="Crea Account SIP").click()
    page.locator("#username").wait_for()
    page.screenshot(path=FOLDER / "credentials.png")


if __name__ == "__main__":
    main()
