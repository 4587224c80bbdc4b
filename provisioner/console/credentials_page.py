"""New credentials, shown once: to copy, to scan, as settings of common devices; and what follows.

The page shows live that the account is enabled, that the nodes obey, and that a phone registers.
"""

from flask import get_template_attribute, render_template
from markupsafe import Markup

from provisioner import accounts, registrations
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.views import CredentialsView
from provisioner.console import linphone
from provisioner.console.qr import qr_code
from provisioner.console.visits import Pages, Visit
from provisioner.credentials import Secret
from provisioner.model import Account

pages = Pages("credentials", "/accounts/<id:account_id>")


def show_credentials(
    visit: Visit, account: Account, secret: Secret, *, created: bool = False
) -> str:
    """Show an account's new credentials, the only time that they can be seen.

    The phone that scans the page's QR code gets them, too.
    """
    credentials = CredentialsView.of(secret, services().settings)
    address = linphone.offer(visit.connection, account, credentials)
    return render_template(
        "accounts/credentials.html",
        account=account,
        created=created,
        credentials=credentials,
        address=address,
        qr=qr_code(address),
        steps=_steps(visit, account),
    )


@pages.live("/progress", Permission.ACCOUNTS_READ)
def live_progress(visit: Visit, account_id: int) -> dict[str, str]:
    """Show how far the account is: enabled, on all nodes, used by a phone."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    return {name: str(html) for name, html in _steps(visit, account).items()}


def _steps(visit: Visit, account: Account) -> dict[str, Markup]:
    """Make the parts of the page that change, by the id of their element."""
    rpc_token = services().settings.rpc_token
    found, _ = registrations.of_all(visit.connection, [account], rpc_token)
    template = "accounts/steps.html"
    return {
        "step-enabled": get_template_attribute(template, "enabled")(account),
        "step-registered": get_template_attribute(template, "registered")(
            account, found.get(account.id, [])
        ),
    }
