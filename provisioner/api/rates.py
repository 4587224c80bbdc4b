"""`/rates`: what calls cost, by prefix and date."""

from io import BytesIO

from werkzeug.exceptions import RequestEntityTooLarge

from provisioner import listings, rates
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import RatesQuery
from provisioner.api.idempotency import PART, Content
from provisioner.api.rating_views import RatesImportedView, RateView
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.view import Page
from provisioner.rates import RateInForce, RatesInvalid

resource = Resource("Rates", "/rates")

FILE_MAX = 32 * 1024 * 1024  # bytes

SAMPLE = (
    "side;prefix;description;connection_fee;price_per_minute;first_interval;next_interval;flat;"
    "valid_from\r\n"
    "customer;+393;Italy mobile;0,05;0,09;60;30;true;2026-02-01\r\n"
)


@resource.get("", Permission.RATES_READ)
def list_rates(call: Call, query: RatesQuery) -> Page[RateView]:
    """List rates; `number` and `at` find those that fit a number, of which the longest counts."""
    return paging.page(call, listings.RATES, query, RateView, RateView.model_validate)


@resource.post(
    "", Permission.RATES_MANAGE, errors=[RatesInvalid], takes=["text/csv"], sample=SAMPLE
)
def import_rates(call: Call, stream: Content) -> RatesImportedView:
    """Import rates: the body is a CSV file of up to 32 MiB, taken as a whole or not at all.

    A rate ends the one before it of the same side and prefix. What is wrong with the file is told
    line by line.
    """
    done = rates.import_file(call.connection, call.actor, BytesIO(_content(stream)))
    return RatesImportedView.model_validate(done)


def _content(stream: Content) -> bytes:
    """Read a file before anything is locked, however slowly it arrives."""
    content = bytearray()
    while part := stream.read(PART):
        content += part
        if len(content) > FILE_MAX:
            raise RequestEntityTooLarge(f"A file of rates has at most {FILE_MAX // 1024**2} MiB.")
    return bytes(content)


@resource.delete("/<id:rate_id>", Permission.RATES_MANAGE, errors=[RateInForce])
def delete_rate(call: Call, rate_id: int) -> None:
    """Remove a rate that is not in force yet; the one before it goes on."""
    rates.delete(call.connection, call.actor, rate_id)
