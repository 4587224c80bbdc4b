"""`/console/accounts/<id>/diagnosis`: why can't this phone register, or its call not be made?"""

from flask import render_template

from provisioner import accounts, call_diagnosis, diagnosis, diagnosis_facts
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.console.account import ONE
from provisioner.console.visits import Pages, Visit
from provisioner.registrations import PATIENCE

pages = Pages("account_diagnosis", ONE)


@pages.get("/diagnosis", Permission.REGISTRATIONS_READ)
def show_diagnosis(visit: Visit, account_id: int) -> str:
    """Answer both questions from what the database and every node know now."""
    account = accounts.read(visit.connection, visit.actor, account_id)
    calls = diagnosis_facts.read_calls(visit.connection, account)
    rpc_token = services().settings.rpc_token
    facts = diagnosis_facts.read(visit.connection, account, rpc_token, timeout=PATIENCE)
    return render_template(
        "accounts/diagnosis.html",
        account=account,
        registering=diagnosis.diagnose(facts),
        calling=call_diagnosis.diagnose(calls),
    )
