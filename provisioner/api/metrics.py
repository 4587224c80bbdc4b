"""`/metrics`: what is counted in all processes of the API, and what the database knows.

Requests are told apart by their route as it is declared, never by their path.
"""

from pathlib import Path

from flask import Blueprint, Flask, Response, current_app, g, request
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from provisioner.api.context import services
from provisioner.api.serving import public
from provisioner.exposition import PASSED_ON, REFUSED, may_read
from provisioner.facts import Facts
from provisioner.meters import HttpMeter

blueprint = Blueprint("metrics", __name__)


def register(app: Flask, registry: CollectorRegistry, directory: Path | None) -> None:
    """Measure an application's requests in a registry. All processes of the API write to the
    directory; without one, this is the only process. Called first, so that its part comes last.
    """
    meter = HttpMeter(registry)
    app.extensions["provisioner metrics"] = registry if directory is None else _of_all(directory)

    def begin() -> None:
        g.began = meter.began()

    def tell(response: Response) -> Response:
        rule = request.url_rule.rule if request.url_rule else None
        meter.answered(g.began, request.method, rule, response.status_code)
        return response

    def end(_: BaseException | None) -> None:
        if "began" in g:
            meter.ended()

    app.before_request(begin)
    app.after_request(tell)
    app.teardown_request(end)
    app.register_blueprint(blueprint)


def _of_all(directory: Path) -> CollectorRegistry:
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(directory))  # type: ignore[no-untyped-call] # no annotations
    return registry


@blueprint.get("/metrics")
@public
def metrics() -> Response:
    """Answer in Prometheus' text format."""
    original = request.environ.get("werkzeug.proxy_fix.orig", {})
    peer = original.get("REMOTE_ADDR") or request.remote_addr
    allowed = may_read(
        services().settings.metrics_token,
        request.headers.get("Authorization", ""),
        peer,
        passed_on=any(name in request.headers for name in PASSED_ON),
    )
    if not allowed:
        return Response(REFUSED, 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain")
    shown = CollectorRegistry()
    shown.register(Facts(services().database))
    counted: CollectorRegistry = current_app.extensions["provisioner metrics"]
    text = generate_latest(shown) + generate_latest(counted)
    return Response(text, content_type=CONTENT_TYPE_LATEST)
