"""`…/diagnosis`: why can't this phone register, or its call not be made?"""

from typing import Self

from provisioner import accounts, call_diagnosis, diagnosis, diagnosis_facts
from provisioner.access import Permission
from provisioner.api.context import services
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.sip_accounts import ONE
from provisioner.api.view import View, example
from provisioner.call_diagnosis import CallDiagnosis, CallVerdict
from provisioner.db import Connection
from provisioner.diagnosis import Diagnosis, Verdict
from provisioner.model import Account

resource = Resource("Diagnosis", "/sip-accounts" + ONE)


class FindingView(View):
    """One thing that was looked at; `ok` is false where it stands in the way."""

    code: str
    ok: bool
    detail: str


class DiagnosisView(View):
    """Why a device cannot register or calls are refused, or that nothing known stands in the way.

    `findings` are about registering, `call_findings` about calls.
    """

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
        can_call=False,
        call_verdict="channels_in_use",
        call_detail="All channels are in use (2 of 2); raise their number, or wait.",
        call_findings=[
            {
                "code": "channels_in_use",
                "ok": False,
                "detail": "All channels are in use (2 of 2); raise their number, or wait.",
            },
        ],
    )

    can_register: bool
    verdict: Verdict
    detail: str
    findings: list[FindingView]
    can_call: bool
    call_verdict: CallVerdict
    call_detail: str
    call_findings: list[FindingView]

    @classmethod
    def of(cls, registering: Diagnosis, calling: CallDiagnosis) -> Self:
        """Show both answers."""
        return cls(
            can_register=registering.can_register,
            verdict=registering.verdict,
            detail=registering.detail,
            findings=_findings(registering),
            can_call=calling.can_call,
            call_verdict=calling.verdict,
            call_detail=calling.detail,
            call_findings=_findings(calling),
        )


def _findings(diagnosed: Diagnosis | CallDiagnosis) -> list[FindingView]:
    return [FindingView.model_validate(one) for one in diagnosed.findings]


def diagnosed(connection: Connection, account: Account, rpc_token: str) -> DiagnosisView:
    """Diagnose an account, from what the database and every node know now."""
    calls = diagnosis_facts.read_calls(connection, account)
    facts = diagnosis_facts.read(connection, account, rpc_token)
    return DiagnosisView.of(diagnosis.diagnose(facts), call_diagnosis.diagnose(calls))


@resource.get("/diagnosis", Permission.REGISTRATIONS_READ)
def diagnose_account(call: Call, account_id: int) -> DiagnosisView:
    """Answer why a device cannot register, and why calls are refused.

    It is what the database and every node know now.
    """
    account = accounts.read(call.connection, call.actor, account_id)
    return diagnosed(call.connection, account, services().settings.rpc_token)
