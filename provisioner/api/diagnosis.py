"""`…/diagnosis`: why can't this phone register?"""

from provisioner import accounts, diagnosis_facts
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.sip_accounts import ONE
from provisioner.api.views import DiagnosisView
from provisioner.diagnosis import diagnose

resource = Resource("Diagnosis", "/sip-accounts" + ONE)


@resource.get("/diagnosis", Permission.REGISTRATIONS_READ)
def diagnose_account(call: Call, account_id: int) -> DiagnosisView:
    """Answer why a device cannot register, from what the database and every node know now."""
    account = accounts.read(call.connection, call.actor, account_id)
    facts = diagnosis_facts.read(call.connection, account, services().settings.rpc_token)
    return DiagnosisView.of(diagnose(facts))
