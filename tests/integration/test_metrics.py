"""What the API's /metrics tells, to whom, and what it never tells."""

import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from time import thread_time

import pytest
from prometheus_client import CollectorRegistry, values

from provisioner import db
from provisioner.meters import HttpMeter, PoolMeter
from provisioner.server import WORKERS
from provisioner.settings import Settings
from provisioner.stack.stack import Stack
from tests.api import Api
from tests.figures import Figures
from tests.integration.conftest import NUMBER, Client, application
from tests.integration.serving import served
from tests.metrics import Samples, exposition, samples, value
from tests.system import System, eventually

TOKEN = "a-token-for-prometheus-of-enough-characters"
LOCAL = {"REMOTE_ADDR": "127.0.0.1"}
CHOSEN = ("VERB", "nowhere", "Confidential", "390")
STRANGER = {"REMOTE_ADDR": "203.0.113.9"}


def read(client: Client) -> Samples:
    answer = client.http.get("/metrics")
    assert answer.status_code == 200
    return samples(answer.text)


def test_requests_are_counted_by_route_never_by_path(client: Client) -> None:
    account = client.new_account()
    for _ in range(3):
        client("GET", f"/sip-accounts/{account['id']}")
    client("GET", "/sip-accounts/999999")
    route = "/api/v1/sip-accounts/{account_id}"
    found = read(client)
    of = {"method": "GET", "route": route}
    assert value(found, "provisioner_http_requests_total", **of, status="200") == 3
    assert value(found, "provisioner_http_requests_total", **of, status="404") == 1
    assert value(found, "provisioner_http_request_duration_seconds_count", **of) == 4


def test_nothing_that_a_client_chose_becomes_a_label(client: Client) -> None:
    """Or anybody could fill the memory of this service and of Prometheus."""
    client.new_account(NUMBER, name="Confidential GmbH")
    client("GET", "/sip-accounts?q=Confidential")
    before = len(read(client))
    for i in range(20):
        client.http.open(f"/nowhere/{i}", method=f"VERB{i}")
        client("GET", f"/numbers/+3900000{i:04d}")
    found = read(client)
    assert len(found) < before + 60
    labels = {text for _, pairs in found for _, text in pairs}
    assert not [text for text in labels for word in CHOSEN if word in text]
    unknown = {"method": "other", "route": "none", "status": "404"}
    assert value(found, "provisioner_http_requests_total", **unknown) == 20


def test_a_request_that_fails_is_over_all_the_same(client: Client) -> None:
    for method, path in (("POST", "/sip-accounts"), ("GET", "/nowhere"), ("PUT", "/numbers")):
        assert client(method, path, {"no": "field"}).status_code >= 400
    # the one that asks
    assert value(read(client), "provisioner_http_requests_in_progress") == 1
    assert value(read(client), "provisioner_database_connections_in_use") == 0


@pytest.mark.parametrize(
    ("token", "shown", "source", "status"),
    [
        ("", "", LOCAL, 200),
        ("", "", STRANGER, 401),
        ("", f"Bearer {TOKEN}", STRANGER, 401),
        (TOKEN, "", LOCAL, 401),
        (TOKEN, "Bearer wrong", LOCAL, 401),
        (TOKEN, f"Basic {TOKEN}", LOCAL, 401),
        (TOKEN, "Bearer \u00fc", LOCAL, 401),
        (TOKEN, f"Bearer {TOKEN}", STRANGER, 200),
    ],
)
def test_who_may_read_it(
    settings: Settings, token: str, shown: str, source: dict[str, str], status: int
) -> None:
    with application(replace(settings, metrics_token=token)) as client:
        headers = {"Authorization": shown} if shown else {}
        answer = client.http.get("/metrics", headers=headers, environ_base=source)
        assert answer.status_code == status
        assert ("provisioner_" in answer.text) is (status == 200)


@pytest.mark.parametrize("name", ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
@pytest.mark.parametrize("proxies", [0, 1])
def test_what_a_proxy_on_this_machine_passes_on_is_not_from_this_machine(
    settings: Settings, name: str, proxies: int
) -> None:
    with application(replace(settings, trusted_proxies=proxies)) as client:
        answer = client.http.get("/metrics", headers={name: "127.0.0.1"}, environ_base=LOCAL)
        assert answer.status_code == 401
        assert client.http.get("/metrics", environ_base=LOCAL).status_code == 200


def test_an_api_token_is_none_for_the_metrics(settings: Settings) -> None:
    with application(replace(settings, metrics_token=TOKEN)) as client:
        bearer = {"Authorization": f"Bearer {client.token}"}
        assert client.http.get("/metrics", headers=bearer).status_code == 401


def test_what_is_pending_shows_with_its_age(
    client: Client, admin: db.Connection, node: int
) -> None:
    account = client.new_account()
    client("POST", f"/sip-accounts/{account['id']}/enable")
    client("POST", f"/sip-accounts/{account['id']}/disable")
    admin.execute("UPDATE provisioner.pending_kicks SET pending_since = now() - interval '90 s'")
    # Put off again and again, and yet as old as it is.
    admin.execute("UPDATE provisioner.pending_kicks SET due_at = now() + interval '5 s'")
    found = read(client)
    assert value(found, "provisioner_nodes", state="away") == 1
    assert value(found, "provisioner_node_pending_changes", node="away", kind="kick") == 1
    assert value(found, "provisioner_node_pending_changes", node="away", kind="reload") == 0
    oldest = value(found, "provisioner_node_oldest_pending_change_seconds", node="away")
    assert 90 <= oldest < 120

    client("POST", f"/sip-accounts/{account['id']}/enable")
    client("POST", f"/sip-accounts/{account['id']}/disable")
    found = read(client)
    assert value(found, "provisioner_node_oldest_pending_change_seconds", node="away") >= 90

    admin.execute("UPDATE provisioner.pending_kicks SET confirmed_at = now()")
    found = read(client)
    assert value(found, "provisioner_node_pending_changes", node="away", kind="kick") == 0
    assert value(found, "provisioner_node_oldest_pending_change_seconds", node="away") == 0


def test_a_database_that_is_away_is_told_of(settings: Settings) -> None:
    with application(settings) as client:
        assert value(read(client), "provisioner_database_up") == 1
    nowhere = "postgresql://nobody@127.0.0.1:9/nothing"
    with application(settings) as client:
        services = client.http.application.extensions["provisioner"]
        services.database.close()
        services.database.url = nowhere
        found = read(client)
        assert value(found, "provisioner_database_up") == 0
        assert not [name for name, _ in found if name.startswith("provisioner_node")]


@pytest.mark.native
def test_the_processes_of_the_api_are_counted_together(stack: Stack) -> None:
    """Whichever of them answers, it speaks for all."""
    api = Api(stack.api_url, stack.admin_token_file.read_text().strip())
    of = {"method": "GET", "route": "/api/v1/networks", "status": "200"}

    def counted() -> float:
        return value(samples(exposition(stack.api_url)), "provisioner_http_requests_total", **of)

    before = counted()
    for _ in range(40):
        api.get("/networks").expect(200)
    assert [counted() for _ in range(8)] == [before + 40] * 8


@pytest.mark.native
@pytest.mark.parametrize("process", ["api", "worker"])
def test_names_follow_prometheus_conventions(stack: Stack, process: str) -> None:
    text = exposition(stack.api_url if process == "api" else stack.worker_url)
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


@pytest.mark.native
def test_processes_that_were_killed_leave_nothing_behind(
    settings: Settings, stack: Stack, tmp_path: Path
) -> None:
    """Neither what they held, nor, once the server is gone, what they have counted."""
    kept = tmp_path / "kept"
    kept.mkdir()
    with served(settings, stack, tmp_path / "log", TMPDIR=str(kept)) as server:

        def pools() -> float:
            found = samples(exposition(server.url))
            return value(found, "provisioner_database_connections_max")

        assert eventually(lambda: pools() == WORKERS * db.POOL_SIZE)
        victim = next(kept.glob("*/gauge_livesum_*.db"))
        os.kill(int(victim.stem.rpartition("_")[2]), signal.SIGKILL)
        eventually(lambda: not victim.exists())
        eventually(lambda: pools() == WORKERS * db.POOL_SIZE)
        assert list(kept.glob("provisioner-metrics-*"))
        server.process.kill()
        eventually(lambda: not list(kept.iterdir()))


@pytest.mark.native
def test_a_worker_tells_how_long_a_node_takes_to_obey(stack: Stack, system: System) -> None:
    of = {"node": "node1", "kind": "kick"}
    series = "provisioner_worker_convergence_seconds"

    def read_worker() -> Samples:
        return samples(exposition(stack.worker_url))

    line = system.new_line()
    before = read_worker()
    line.disable()
    once_more = value(before, f"{series}_count", **of) + 1
    eventually(lambda: value(read_worker(), f"{series}_count", **of) >= once_more)
    after = read_worker()
    took = value(after, f"{series}_sum", **of) - value(before, f"{series}_sum", **of)
    assert 0 < took < 60
    assert value(after, "provisioner_worker_node_held", node="node1") == 1


@pytest.mark.usefixtures("shared_between_processes")
def test_to_be_measured_costs_a_request_next_to_nothing(client: Client, figures: Figures) -> None:
    """Both in one run, as processor time: the machine may be busy."""
    path = f"/sip-accounts/{client.new_account()['id']}"
    http, pool = HttpMeter(CollectorRegistry()), PoolMeter(CollectorRegistry(), db.POOL_SIZE)

    def measure() -> None:
        began = http.began()
        with pool.waiting():
            pool.taken()
        pool.returned()
        http.answered(began, "GET", "/api/v1/sip-accounts/<id:account_id>", 200)
        http.ended()

    whole = processor_time(lambda: client("GET", path), 10)
    part = processor_time(measure, 100)
    figures("processor time to measure a request", f"{part * 1e6:.0f} us")
    figures("of that of the whole request", f"{part / whole:.1%}")
    assert part / whole < 0.03


@pytest.fixture
def shared_between_processes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Count in files, as the server does."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(values, "ValueClass", values.MultiProcessValue())  # type: ignore[no-untyped-call] # it has no annotations


def processor_time(act: Callable[[], object], times: int, rounds: int = 20) -> float:
    """Seconds of this thread for one of many: of several rounds the median, since in one of them
    all that this process holds may be looked through for garbage.
    """

    def one_round() -> float:
        began = thread_time()
        for _ in range(times):
            act()
        return (thread_time() - began) / times

    act()
    return median(one_round() for _ in range(rounds))
