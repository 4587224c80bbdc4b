"""The settings that a phone fetches: once, soon, and nobody else's."""

from xml.etree import ElementTree as Xml

import pytest

from provisioner import db
from provisioner.access import Role
from provisioner.console.qr import qr_code
from tests.integration.conftest import NUMBER, OTHER_NUMBER, Client
from tests.integration.console import HOST, Visitor, forms_of, logged_in, text_of, visitor

NAMESPACE = {"lp": "http://www.linphone.org/xsds/lpconfig.xsd"}


def new_account(person: Visitor, number: str) -> str:
    """Create an account in the console; return the page with its credentials."""
    fields = {"name": f"Mobile {number}", "main_number": number, "voice_channels": "1"}
    confirmation = person.post("/accounts/new", **fields)
    return person.send("/accounts", forms_of(confirmation.text)["/console/accounts"]).text


@pytest.fixture
def created(client: Client, admin: db.Connection) -> str:
    """The page with a new account's credentials."""
    client.new_number()
    return new_account(logged_in(client, admin, Role.ACCOUNTING), NUMBER)


@pytest.fixture
def phone(client: Client) -> Visitor:
    """A client that nobody has logged in with."""
    return visitor(client)


def path_on(page: str) -> str:
    """The path of the settings, below the console's."""
    start = f"{HOST}/console"
    address = text_of(page, "address")
    assert address.startswith(f"{start}/provisioning?token=")
    return address.removeprefix(start)


def test_the_code_on_the_page_is_the_address(created: str) -> None:
    assert str(qr_code(text_of(created, "address"))) in created


def test_a_phone_fetches_its_settings_once(created: str, phone: Visitor) -> None:
    path = path_on(created)
    fetched = phone.get(path)
    assert fetched.status_code == 200
    assert fetched.mimetype == "application/xml"
    assert fetched.headers["Cache-Control"] == "no-store"
    found = Xml.fromstring(fetched.text)  # noqa: S314 - our own
    entries = {
        (section.get("name"), entry.get("name")): entry.text
        for section in found.findall("lp:section", NAMESPACE)
        for entry in section.findall("lp:entry", NAMESPACE)
    }
    assert entries["auth_info_0", "passwd"] == text_of(created, "password")
    assert entries["proxy_0", "reg_identity"] == f"sip:{NUMBER[1:]}@talkytime.test"
    again = phone.get(path)
    assert again.status_code == 404
    assert text_of(created, "password") not in again.text


@pytest.mark.parametrize("method", ["HEAD", "GET"])
def test_who_only_looks_uses_nothing_up(created: str, phone: Visitor, method: str) -> None:
    """Such as a camera's app, which opens a browser, and what looks at links before."""
    path, accepted = path_on(created), "text/html,*/*"
    looked = phone.http.open(
        f"/console{path}", method=method, base_url=HOST, headers={"Accept": accepted}
    )
    assert looked.status_code == 200
    assert text_of(created, "password") not in looked.text
    assert phone.get(path).status_code == 200


def test_they_are_not_there_for_long(created: str, phone: Visitor, admin: db.Connection) -> None:
    left = admin.execute("SELECT expires_at - now() AS left FROM provisioner.handovers").fetchone()
    assert left
    assert 14 * 60 < left["left"].total_seconds() <= 15 * 60
    admin.execute("UPDATE provisioner.handovers SET expires_at = now()")
    assert phone.get(path_on(created)).status_code == 404


def test_the_database_does_not_hold_what_opens_them(
    client: Client, created: str, admin: db.Connection
) -> None:
    """Not even together with the keys that seal other secrets."""
    sealer = client.http.application.extensions["provisioner"].sealer
    row = admin.execute("SELECT sealed, sha256 FROM provisioner.handovers").fetchone()
    assert row
    assert text_of(created, "password") not in str(row)
    assert path_on(created).rpartition("=")[2] not in str(row)
    with pytest.raises(Exception, match="sealed with a key"):
        sealer.open(row["sealed"])


def test_a_deleted_accounts_are_gone(client: Client, created: str, phone: Visitor) -> None:
    account = client("GET", "/sip-accounts").json["items"][0]
    assert client("DELETE", f"/sip-accounts/{account['id']}").status_code == 204
    assert phone.get(path_on(created)).status_code == 404


@pytest.mark.usefixtures("created")
def test_old_ones_are_forgotten(client: Client, admin: db.Connection) -> None:
    """At the latest when the next phone's are kept."""
    admin.execute("UPDATE provisioner.handovers SET expires_at = now()")
    new_account(logged_in(client, admin, Role.ADMIN), client.new_number(OTHER_NUMBER))
    kept = admin.execute("SELECT expires_at > now() AS good FROM provisioner.handovers").fetchall()
    assert kept == [{"good": True}]


@pytest.mark.parametrize("token", ["", "x", "%00", "a" * 43, "\N{SNOWMAN}"])
def test_a_guess_finds_nothing(phone: Visitor, token: str) -> None:
    assert phone.get(f"/provisioning?token={token}").status_code == 404
