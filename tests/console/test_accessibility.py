"""WCAG 2.2 AA: no page has a violation that axe-core finds, in any language, scheme or size."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe_playwright_python
import pytest
from flask import Flask
from playwright.sync_api import Browser, Page, ViewportSize, expect

from provisioner.access import Role
from provisioner.app import create_app
from provisioner.settings import load_settings
from provisioner.stack.stack import Stack
from tests.console.conftest import People, Person, log_in
from tests.system import System

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
RUN = f"axe.run({{runOnly: {json.dumps(TAGS)}}}).then(found => found.violations)"
DESK = ViewportSize(width=1280, height=800)
PHONE = ViewportSize(width=320, height=640)


@pytest.fixture(scope="module")
def paths(stack: Stack, system: System, people: People) -> list[str]:
    """Every page of the console that can be opened, on a world that has one of everything."""
    values = world(system, people)
    app = create_app(load_settings(stack.environ))
    found = [filled(rule, values) for rule in pages_of(app)]
    app.extensions["provisioner"].database.close()
    return found


def pages_of(app: Flask) -> list[str]:
    """The rules of all pages that are read; streams, files and data are none."""
    others = re.compile(
        r"/static/|<path:rest>|<text>|<token>|/accounts/new/numbers|/file$|/provisioning|^/console/$"
    )
    return sorted(
        str(rule)
        for rule in app.url_map.iter_rules()
        if str(rule).startswith("/console/")
        and "GET" in (rule.methods or ())
        and not getattr(app.view_functions[rule.endpoint], "streams", False)
        and not others.search(str(rule))
    )


def world(system: System, people: People) -> dict[str, Any]:
    """One of everything; the values of the parameters of paths."""
    api = system.api
    line = system.new_line(voice_channels=3, name="Reception")
    extra = system.new_number()
    api.put(f"{line.path}/numbers/{extra}", {}).expect(200)
    rule = api.post(f"{line.path}/caller-id-rules", {"number": extra}).expect(201)
    person = people.new(Role.SALES)
    token = api.post("/tokens", {"name": "Portal", "role": "read_only"}).expect(201)
    source = api.post("/hook-sources", {"name": "Portal"}).expect(201)
    endpoint = api.post("/webhook-endpoints", {"url": "https://192.0.2.1/hooks"})
    endpoint_id = endpoint.json.get("id", 1)
    deliveries = api.post(f"/webhook-endpoints/{endpoint_id}/test").json or {}
    return {
        "account_id": line.id,
        "number": extra.replace("+", "%2B"),
        "rule_id": rule["id"],
        "name": "cloudfire",
        "user_id": person.id,
        "token_id": token["id"],
        "source_id": source["id"],
        "key_id": source["keys"][0]["id"],
        "endpoint_id": endpoint_id,
        "delivery_id": deliveries.get("id", 1),
        "event_id": 1,
    }


def filled(rule: str, values: dict[str, Any]) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: str(values[match[1]]), rule)


@pytest.fixture(params=["it-light", "it-dark", "en-light", "en-dark"])
def page(request: pytest.FixtureRequest, browser: Browser, system: System) -> Iterator[Page]:
    """A page without the policy that would forbid axe to be put into it."""
    scheme = request.param.partition("-")[2]
    context = browser.new_context(
        base_url=system.api.url, color_scheme=scheme, viewport=DESK, bypass_csp=True
    )
    context.add_init_script(AXE)
    page = context.new_page()
    page.language = request.param.partition("-")[0]  # type: ignore[attr-defined] # carried along for the test
    yield page
    context.close()


@pytest.fixture(scope="module")
def somebody(people: People) -> dict[str, Person]:
    """Somebody for each language who may see everything."""
    return {language: people.new(Role.ADMIN, language=language) for language in ("it", "en")}


def violations(page: Page) -> list[str]:
    return [
        f"{page.url}: {one['id']}: {[node['html'][:120] for node in one['nodes'][:3]]}"
        for one in page.evaluate(RUN)
    ]


def wider_than_the_window(page: Page) -> bool:
    return bool(
        page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth")
    )


def test_no_page_has_a_violation(page: Page, paths: list[str], somebody: dict[str, Person]) -> None:
    assert len(paths) > 25
    language = page.language  # type: ignore[attr-defined] # carried along for the test
    page.goto("/console/login")
    found = violations(page)
    log_in(page, somebody[language])
    for path in paths:
        answer = page.goto(path)
        assert answer, path
        assert answer.status in (200, 404), f"{path}: {answer.status}"
        expect(page.locator("html")).to_have_attribute("lang", language)
        found += violations(page)
    assert found == []


@pytest.mark.parametrize("page", ["it-light"], indirect=True)
def test_every_page_fits_a_phone(page: Page, paths: list[str], somebody: dict[str, Person]) -> None:
    log_in(page, somebody["it"])
    page.set_viewport_size(PHONE)
    found: list[str] = []
    for path in paths:
        page.goto(path)
        found += violations(page)
        if wider_than_the_window(page):
            found.append(f"{path} is wider than {PHONE['width']} pixels")
    assert found == []


@pytest.mark.parametrize("page", ["it-light"], indirect=True)
def test_the_keyboard_reaches_everything(page: Page, somebody: dict[str, Person]) -> None:
    log_in(page, somebody["it"])
    wanted = page.locator("a:visible, button:visible, input:visible, select:visible").count()
    reached = set()
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.outerHTML"))
        assert page.evaluate(
            "getComputedStyle(document.activeElement).outlineStyle !== 'none'"
            " || document.activeElement === document.body"
        )
    assert len(reached) >= wanted


def test_without_a_script_one_logs_in_and_searches(
    browser: Browser, system: System, people: People
) -> None:
    line = system.new_line(name="Without a script")
    context = browser.new_context(base_url=system.api.url, java_script_enabled=False)
    page = context.new_page()
    log_in(page, people.new(Role.ACCOUNTING))
    page.locator("#q").fill(line.number[1:])
    page.locator("form.filters button").click()
    page.get_by_role("link", name="Without a script").click()
    page.get_by_role("button", name="Disabilita").click()
    expect(page.locator("#state")).to_contain_text("Disabilitato")
    context.close()
