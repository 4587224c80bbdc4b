"""A form that is sent twice acts once, be it by two clicks or by a reload.

Each form that creates something carries a key, which is claimed in the transaction that creates it.
"""

from secrets import token_urlsafe

from markupsafe import Markup

from provisioner import login_store
from provisioner.console.forms import Form
from provisioner.console.visits import Visit

FIELD = "form_key"


def once() -> Markup:
    """Make the hidden field of a new form."""
    return _field(token_urlsafe(12))


def again(form: Form) -> Markup:
    """Make the hidden field of a form that is shown again: its own key, or a first one."""
    return _field(form[FIELD]) if form[FIELD] else once()


def claim(visit: Visit, form: Form) -> str | None:
    """Claim a form in this transaction; return where what it did can be seen, if it has acted."""
    key = form[FIELD][:64]
    if not key or login_store.claim_submission(visit.connection, visit.session.user.id, key):
        return None
    return login_store.submission(visit.connection, visit.session.user.id, key)


def done(visit: Visit, form: Form, location: str) -> None:
    """Keep where what the form did can be seen."""
    key = form[FIELD][:64]
    if key:
        login_store.finish_submission(visit.connection, visit.session.user.id, key, location)


def _field(key: str) -> Markup:
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, key)
