"""The dashboard and the alerts, against what a running system really shows.

Prometheus itself asks the stack, by the example of its configuration, and answers each query.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit
from urllib.request import urlopen

import pytest

from provisioner.stack.ports import tcp
from provisioner.stack.stack import Stack
from tests.metrics import exposition, samples
from tests.ports import new_port
from tests.sip.clients import Credentials, Sipp
from tests.system import System, eventually

pytestmark = pytest.mark.native

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
CONFIG, ALERTS, ALERT_TESTS = "prometheus.yml", "alerts.yml", "alerts.test.yml"
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text(encoding="utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
RULES = (FOLDER / ALERTS).read_text(encoding="utf-8")
SELECTOR = re.compile(r"\b(?:(?:provisioner|kamailio)_\w+|up)\b(?:\{[^}]*\})?")
FAULTS = 'status=~"5..", '  # a series that begins with the first one


class Prometheus:
    """A Prometheus that asks the stack each second."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self.url = f"http://127.0.0.1:{new_port(tcp('127.0.0.1'))}"
        token = folder / "metrics-token"
        token.write_text("not looked at where there is none\n", encoding="utf-8")
        text = (FOLDER / CONFIG).read_text(encoding="utf-8")
        for name, there in {
            "provisioner:8080": urlsplit(stack.api_url).netloc,
            "worker:8081": urlsplit(stack.worker_url).netloc,
            "kamailio-rpc:8090": urlsplit(stack.rpc_url).netloc,
            "/run/secrets/metrics-token": str(token),
            "15s": "1s",
        }.items():
            assert name in text
            text = text.replace(name, there)
        (folder / CONFIG).write_text(text, encoding="utf-8")
        (folder / ALERTS).write_text(RULES, encoding="utf-8")
        command = ["prometheus", "--log.level=warn", f"--config.file={folder / CONFIG}"]
        command += [f"--storage.tsdb.path={folder}", f"--web.listen-address={self.url[7:]}"]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)

    def ask(self, expression: str) -> list[Any]:
        """Evaluate an expression; the series that it has now."""
        try:
            found: list[Any] = self.get(f"query?{urlencode({'query': expression})}")["result"]
        except OSError:
            return []
        return found

    def get(self, path: str) -> Any:
        """Read what its API knows."""
        with urlopen(f"{self.url}/api/v1/{path}", timeout=10) as answer:  # noqa: S310 - our own
            return json.load(answer)["data"]


@pytest.fixture(scope="module")
def prometheus(
    stack: Stack, system: System, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Prometheus]:
    """Prometheus, once it has seen a few things happen."""
    prometheus = Prometheus(tmp_path_factory.mktemp("prometheus"), stack)
    try:
        eventually(lambda: len(prometheus.ask("up == 1")) == 3, within=30)
        happen(system)
        eventually(lambda: prometheus.ask("rate(provisioner_http_requests_total[10s]) > 0"))
        yield prometheus
    finally:
        prometheus.process.terminate()
        prometheus.process.wait(timeout=20)


def happen(system: System) -> None:
    """A phone registers, another guesses, an account is disabled."""
    line, place = system.new_line(), system.internet
    wrong = Credentials(line.credentials.username, "notthepassword", system.realm)
    for credentials in (line.credentials, wrong):
        Sipp(place.registrar, credentials, place.client).register()
    line.disable()


@pytest.mark.parametrize(("title", "expression"), QUERIES)
def test_no_panel_is_dead(prometheus: Prometheus, title: str, expression: str) -> None:
    query = expression.replace("$__rate_interval", "10s")
    assert eventually(lambda: prometheus.ask(query)), title


def test_every_panel_says_what_it_is_and_whence() -> None:
    titles = [panel["title"] for panel in PANELS]
    assert len(set(titles)) == len(titles)
    sources = {json.dumps(panel["datasource"]) for panel in PANELS}
    assert sources == {json.dumps({"type": "prometheus", "uid": "${datasource}"})}
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("selector", sorted(set(SELECTOR.findall(RULES.split("groups:")[1]))))
def test_every_alert_looks_at_what_there_is(prometheus: Prometheus, selector: str) -> None:
    assert eventually(lambda: prometheus.ask(selector.replace(FAULTS, "")))


def test_of_what_works_nobody_is_alerted(prometheus: Prometheus) -> None:
    """Prometheus itself has taken the rules, and evaluates them. Other tests may have left
    conflicts, guesses and the like.
    """
    names = set(re.findall(r"alert: (\w+)", RULES))

    def rules() -> list[Any]:
        (group,) = prometheus.get("rules")["groups"]
        return [rule for rule in group["rules"] if rule["health"] == "ok"]

    assert eventually(lambda: {rule["name"] for rule in rules()} == names)

    def states() -> set[str]:
        """One that a busy machine did not let answer within a second is waited for, not told."""
        return {rule["state"] for rule in rules() if rule["name"].endswith("Down")}

    assert "firing" not in states()
    eventually(lambda: states() == {"inactive"})


def test_alerts_are_tested_one_by_one() -> None:
    tests = (FOLDER / ALERT_TESTS).read_text(encoding="utf-8")
    assert set(re.findall(r"- alertname: (\w+)", tests)) == set(re.findall(r"alert: (\w+)", RULES))
    for command in ("check rules", "test rules"):
        name = ALERTS if command == "check rules" else ALERT_TESTS
        done = subprocess.run(
            ["promtool", *command.split(), name],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_about_it_names_all_of_it(stack: Stack) -> None:
    """Every alert, and every metric of the service's own; and none that is not there."""
    page = (FOLDER.parents[1] / "docs" / "monitoring.md").read_text(encoding="utf-8")
    alerts = set(re.findall(r"alert: (\w+)", RULES))
    assert alerts <= set(re.findall(r"`(\w+)`", page))
    told = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for url in (stack.api_url, stack.worker_url)
        for name, _ in samples(exposition(url))
        if name.startswith("provisioner_")
    }
    assert told == set(re.findall(r"`(provisioner_\w+)[{`]", page))
