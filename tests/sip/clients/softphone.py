"""JsSIP, the softphone of a web page, in a real browser."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .model import NO_ANSWER, ClientError, Credentials, Registration

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page, Route

PACKAGES = Path(sys.prefix) / "softphone" / "node_modules"
SOFTPHONE = Path(__file__).parents[2] / "softphone" / "softphone.js"
MAINS = {  # what a package's bare name means in a browser
    "debug": "debug/src/browser.js",
    "events": "events/events.js",
    "jssip": "jssip/lib/JsSIP.js",
    "ms": "ms/index.js",
    "sdp-transform": "sdp-transform/lib/index.js",
}
# The packages are CommonJS, which browsers do not know.
_REQUIRE = """
const loaded = {};
function load(path) {
  const name = [path, `${path}.js`, `${path}/index.js`].find((each) => each in sources);
  if (!(name in loaded)) {
    const module = loaded[name] = {exports: {}};
    const beside = (wanted) => new URL(wanted, `file:///${name}`).pathname.slice(1);
    const require = (wanted) => load(mains[wanted] || beside(wanted));
    const code = name.endsWith(".json") ? `module.exports = ${sources[name]}` : sources[name];
    new Function("require", "module", "exports", code)(require, module, module.exports);
  }
  return loaded[name].exports;
}
const JsSIP = load(mains.jssip);
"""


def script() -> str:
    """Everything that a page needs to know JsSIP and our softphone."""
    sources = {
        str(path.relative_to(PACKAGES)): path.read_text(encoding="utf-8")
        for name in MAINS
        for path in (PACKAGES / name).rglob("*.js*")
        if path.suffix in (".js", ".json") and "tests" not in path.parts
    }
    tables = f"const sources = {json.dumps(sources)}; const mains = {json.dumps(MAINS)};"
    return tables + _REQUIRE + SOFTPHONE.read_text(encoding="utf-8")


class Softphone:
    """A page that calls; `page_of` opens one. Every wait is in seconds.

    Each wait takes the next event of its kind, and forgets what happened before that.
    """

    def __init__(
        self, page: Page, url: str, credentials: Credentials, *, expires: int = 300
    ) -> None:
        self._page = page
        settings = {
            "url": url,
            "user": credentials.username,
            "realm": credentials.realm,
            "password": credentials.password,
            "expires": expires,
        }
        page.evaluate("settings => { phone = new Softphone(JsSIP, settings); }", settings)

    def connect(self, *, timeout: float = 20.0) -> bool:
        """Open the WebSocket; whether that went well."""
        self._page.evaluate("() => phone.start()")
        event = self._next(["connected", "disconnected"], timeout)
        return bool(event["name"] == "connected")

    def register(self, *, timeout: float = 20.0) -> Registration:
        """Connect where it has not, register, and say how it ended."""
        started = time.monotonic()
        if not self.connect(timeout=timeout):
            return self._seen(NO_ANSWER, "not connected", started)
        self._page.evaluate("() => phone.register()")
        event = self._next(["registered", "failed"], timeout)
        status, reason = event["detail"] or (200, "OK")
        return self._seen(status, reason, started)

    def _seen(self, status: int, reason: str, started: float) -> Registration:
        return Registration(status, reason, "", 0, "softphone", time.monotonic() - started)

    def unregister(self, *, timeout: float = 20.0) -> None:
        """Take the binding away."""
        self._page.evaluate("() => phone.unregister()")
        self._next(["unregistered"], timeout)

    def close(self) -> None:
        """Close the page, as a visitor does: without a word."""
        self._page.close()

    def dial(self, uri: str) -> None:
        """Call; `wait_established` or `wait_closed` tell how it went."""
        self._page.evaluate("uri => phone.dial(uri)", uri)

    def wait_incoming(self, *, timeout: float = 20.0) -> str:
        """The URI of the next caller."""
        return str(self._next(["incoming"], timeout)["detail"])

    def answer(self) -> None:
        """Take the call that is ringing."""
        self._page.evaluate("() => phone.answer()")

    def wait_established(self, *, timeout: float = 20.0) -> None:
        """Wait until the call is up."""
        event = self._next(["established", "closed"], timeout)
        if event["name"] == "closed":
            raise ClientError(f"the call is over: {event['detail']}")

    def hangup(self) -> None:
        """End, or refuse, the current call."""
        self._page.evaluate("() => phone.hangup()")

    def wait_closed(self, *, timeout: float = 20.0) -> str:
        """Why the call is over."""
        return str(self._next(["closed"], timeout)["detail"])

    def heard(self) -> int:
        """Packets of voice that have arrived in the current call."""
        return int(self._page.evaluate("() => phone.heard()"))

    def _next(self, names: list[str], timeout: float) -> Any:
        event = self._page.evaluate(
            "([names, ms]) => phone.next(names, ms)", [names, timeout * 1000]
        )
        if event is None:
            raise ClientError(f"none of {names} in {timeout} s")
        return event


@contextmanager
def page_of(browser: Browser, origin: str) -> Iterator[Page]:
    """A page of that origin, with all that a softphone needs; its certificate is not looked at."""
    context = browser.new_context(
        ignore_https_errors=True, permissions=["microphone", "local-network-access"]
    )
    code = script()

    def serve(route: Route) -> None:
        if route.request.url.endswith("/softphone.js"):
            route.fulfill(body=code, content_type="text/javascript")
        else:
            body = "<!doctype html><title>Softphone</title><script src=/softphone.js></script>"
            route.fulfill(body=f"{body}<script>let phone;</script>", content_type="text/html")

    context.route("**/*", serve)
    page = context.new_page()
    page.goto(f"{origin}/")
    yield page
    context.close()
