"""A walk through the console: all pages that links lead to, and what these and forms ask for."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

from flask import Flask
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from provisioner.access import Permission
from tests.integration.console import HOST, Visitor

START = "/console/accounts"
SAME_MAX = 4  # addresses of one kind that a walk visits, such as accounts


@dataclass(frozen=True)
class Way:
    """A link or a form of a page."""

    method: str
    address: str


class Parsed(HTMLParser):
    """What a page leads to and is made of."""

    def __init__(self, address: str, page: str) -> None:
        super().__init__()
        self.ways: list[Way] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inline: list[str] = []  # what a strict Content-Security-Policy forbids
        self._address = address
        self._in_script = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.elements.append((tag, given))
        self.inline += [name for name in given if name == "style" or name.startswith("on")]
        self.inline += ["<style>"] if tag == "style" else []
        self._in_script = tag == "script"
        if tag == "a" and "href" in given:
            self._add("GET", given["href"])
        elif tag == "form":
            self._add(given.get("method", "get").upper(), given.get("action", self._address))

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - the name is the base class's
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script and data.strip():
            self.inline.append("<script>")

    def _add(self, method: str, address: str) -> None:
        whole = urlsplit(urljoin(HOST + self._address, address))
        if f"{whole.scheme}://{whole.netloc}" == HOST and not address.startswith("#"):
            query = f"?{whole.query}" if whole.query else ""
            self.ways.append(Way(method, whole.path + query))


@dataclass(frozen=True)
class Seen:
    """A page that was visited."""

    address: str
    endpoint: str
    text: str
    headers: Mapping[str, str]
    parsed: Parsed


@dataclass
class Walk:
    """All that somebody can come to from the first page."""

    visitor: Visitor
    pages: list[Seen] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def go(self) -> "Walk":
        """Visit each page once; of many addresses of one kind only some."""
        app = self.visitor.http.application
        waiting, known = [START], {START}
        counts: Counter[str] = Counter()
        while waiting:
            address = waiting.pop(0)
            endpoint = endpoint_of(app, Way("GET", address)) or ""
            counts[endpoint] += 1
            if counts[endpoint] > SAME_MAX or not is_page(endpoint):
                continue
            for way in self._visit(address, endpoint):
                if way.method == "GET" and way.address not in known:
                    known.add(way.address)
                    waiting.append(way.address)
        return self

    def _visit(self, address: str, endpoint: str) -> list[Way]:
        answer = self.visitor.http.get(address, base_url=HOST)
        if answer.status_code == 302:
            return [Way("GET", answer.location)]
        if answer.status_code != 200:
            self.broken.append(f"{answer.status_code} {address}")
            return []
        if answer.mimetype != "text/html":
            return []
        parsed = Parsed(address, answer.text)
        self.pages.append(Seen(address, endpoint, answer.text, dict(answer.headers), parsed))
        return parsed.ways


def console_rules(app: Flask) -> Iterator[Rule]:
    """List the console's routes, other than the one for whatever does not exist."""
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith("/console/") and rule.endpoint != "console.nothing":
            yield rule


def permission_of(app: Flask, endpoint: str) -> Permission:
    """Return what a route asks for."""
    permission = getattr(app.view_functions[endpoint], "permission", None)
    assert isinstance(permission, Permission)
    return permission


def endpoint_of(app: Flask, way: Way) -> str | None:
    """Name the route that a link or form leads to; None where there is none."""
    adapter = app.url_map.bind("localhost", url_scheme="https")
    try:
        endpoint, _ = adapter.match(urlsplit(way.address).path, method=way.method)
    except HTTPException:
        return None
    return None if endpoint == "console.nothing" else str(endpoint)


def is_page(endpoint: str) -> bool:
    """Say whether a route is a page for people: no file, no stream."""
    name = endpoint.rpartition(".")[2]
    return endpoint.startswith("console.") and not name.startswith(("live_", "static_"))


def address_of(rule: Rule, parameters: Mapping[str, Any]) -> str:
    """Fill in a route's path."""
    return re.sub(
        r"<(?:\w+:)?(\w+)>", lambda found: quote(str(parameters[found[1]]), safe=""), rule.rule
    )
