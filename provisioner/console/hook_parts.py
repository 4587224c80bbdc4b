"""What the pages of outgoing and of incoming hooks have in common."""

import json
from collections.abc import Mapping
from typing import Any

from flask import flash, redirect, render_template
from flask_babel import gettext
from werkzeug import Response

SHOWN = 25  # entries of a page
DATA_SHOWN = 4000  # characters of an event


def show_secret(name: str, secret: str, back: str) -> str:
    """Show a new secret, which no later page can."""
    return render_template("hooks/secret.html", name=name, secret=secret, back=back)


def only_once(location: str) -> Response:
    """Answer a form that has acted already; `location` shows what it did."""
    flash(gettext("The form was sent twice, and has acted once; its secret was shown then."))
    return redirect(location)


def confirm(title: str, text: str, label: str, *, action: str, back: str) -> str:
    """Ask whether something shall really be done."""
    return render_template(
        "hooks/confirm.html", title=title, text=text, label=label, action=action, back=back
    )


def readable(data: Mapping[str, Any]) -> str:
    """Write what an event says as people read JSON; of a long one the beginning."""
    text = json.dumps(data, indent=2, ensure_ascii=False)
    return text if len(text) <= DATA_SHOWN else f"{text[:DATA_SHOWN]}…"
