"""Two people change one thing: the second one sees what the first one changed.

A form carries what it started from, as `was-NAME` fields. Where one of these is no longer so, the
form is shown again beside what is there now; who sends it then overwrites knowingly.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from provisioner import listings
from provisioner.console.forms import Form
from provisioner.console.visits import Visit
from provisioner.listing import Order

LATEST = 20  # events that are looked through for who it was


@dataclass(frozen=True)
class Difference:
    """A field that somebody else has changed; `label` is in the reader's language."""

    label: str
    was: str
    now: str


def found(form: Form, present: Mapping[str, str], labels: Mapping[str, str]) -> list[Difference]:
    """List what has been changed since the form was made."""
    return [
        Difference(label, form.values[f"was-{name}"], present[name])
        for name, label in labels.items()
        if f"was-{name}" in form.values and form.values[f"was-{name}"] != present[name]
    ]


def last_changed(visit: Visit, subject: str, subject_id: str | int) -> tuple[str, object] | None:
    """Return who changed something last, and when."""
    latest = Order("id", descending=True)
    filters = {"subject": subject, "subject_id": str(subject_id)}
    events = listings.AUDIT_EVENTS.page(
        visit.connection, visit.actor, filters, latest, None, LATEST
    )
    for event in events:
        if event["before"] and event["after"]:
            return event["actor_name"], event["at"]
    return None
