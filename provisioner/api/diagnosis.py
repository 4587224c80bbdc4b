"""`…/diagnosis`: why can't this phone register?"""

from typing import Self

from provisioner import accounts, diagnosis_facts
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.sip_accounts import ONE
from provisioner.api.view import View, example
from provisioner.diagnosis import Diagnosis, Verdict, diagnose

resource = Resource("Diagnosis", "/sip-accounts" + ONE)


class FindingView(View):
    """One thing that was looked at; `ok` is false where it stands in the way."""

    code: str
    ok: bool
    detail: str


class DiagnosisView(View):
    """Why a device cannot register, or that nothing known stands in its way."""

    model_config = example(
        can_register=False,
        verdict="account_disabled",
        detail="The account is disabled, so no device can register; enable it.",
        findings=[
            {
                "code": "account_disabled",
                "ok": False,
                "detail": "The account is disabled, so no device can register; enable it.",
            },
            {"code": "not_registered", "ok": True, "detail": "No device is registered."},
        ],
    )

    can_register: bool
    verdict: Verdict
    detail: str
    findings: list[FindingView]

    @classmethod
    def of(cls, diagnosis: Diagnosis) -> Self:
        """Show one."""
        return cls.model_validate(diagnosis)


@resource.get("/diagnosis", Permission.REGISTRATIONS_READ)
def diagnose_account(call: Call, account_id: int) -> DiagnosisView:
    """Answer why a device cannot register, from what the database and every node know now."""
    account = accounts.read(call.connection, call.actor, account_id)
    facts = diagnosis_facts.read(call.connection, account, services().settings.rpc_token)
    return DiagnosisView.of(diagnose(facts))
