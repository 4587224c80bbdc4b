"""Why is this account's call refused? One answer, from all that guards its calls."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from provisioner.diagnosis import Finding
from provisioner.guard import Refusal, RefusalReason
from provisioner.model import AccountState
from provisioner.sentences import Sentence


class CallVerdict(StrEnum):
    """The answer in a word; stable."""

    ACCOUNT_DISABLED = "account_disabled"
    NO_CREDENTIALS = "no_credentials"
    CHANNELS_IN_USE = "channels_in_use"
    SPEND_CAP_REACHED = "spend_cap_reached"
    DESTINATION_NOT_ALLOWED = "destination_not_allowed"
    REFUSED_BEFORE = "refused_before"
    NEVER_REFUSED = "never_refused"


# A call is possible all the same, though not every one.
_FREE = {
    CallVerdict.DESTINATION_NOT_ALLOWED,
    CallVerdict.REFUSED_BEFORE,
    CallVerdict.NEVER_REFUSED,
}


@dataclass(frozen=True)
class CallFacts:
    """What is known of an account's calls at one moment.

    `refusals`: the last one of each reason, the latest first; `spend_left`: False where its project
    has spent what it may on one day.
    """

    state: AccountState
    has_credentials: bool
    channels_used: int
    voice_channels: int
    spend_left: bool = True
    refusals: Sequence[Refusal] = ()


@dataclass(frozen=True)
class CallDiagnosis:
    """The answer: a verdict, a sentence that explains it, and all that was looked at, in order."""

    can_call: bool
    verdict: CallVerdict
    detail: Sentence
    findings: tuple[Finding, ...]


def diagnose(facts: CallFacts) -> CallDiagnosis:
    """Decide why an account's calls are refused, or that nothing stands in their way."""
    findings = (*_account(facts), *_limits(facts), *map(_refusal, facts.refusals))
    verdict, detail = _verdict(facts, findings)
    return CallDiagnosis(verdict in _FREE, verdict, detail, findings)


def _verdict(facts: CallFacts, findings: Sequence[Finding]) -> tuple[CallVerdict, Sentence]:
    for finding in findings:
        if not finding.ok and finding.code in {*CallVerdict}:
            return CallVerdict(finding.code), finding.detail
    for refusal in facts.refusals:
        if refusal.holds and refusal.reason is RefusalReason.DESTINATION:
            return CallVerdict.DESTINATION_NOT_ALLOWED, _refusal(refusal).detail
    if facts.refusals:
        return CallVerdict.REFUSED_BEFORE, _refusal(facts.refusals[0]).detail
    return (
        CallVerdict.NEVER_REFUSED,
        Sentence("No call has been refused within the last 30 days."),
    )


def _account(facts: CallFacts) -> Iterator[Finding]:
    if facts.state is AccountState.DISABLED:
        detail = Sentence(
            "The account is disabled, so it can neither call nor be called; enable it."
        )
        yield Finding(CallVerdict.ACCOUNT_DISABLED, False, detail)
    if not facts.has_credentials and facts.state is not AccountState.LINKED_TO_TEAMS:
        detail = Sentence("The account has no password, so no device can call; make a new one.")
        yield Finding(CallVerdict.NO_CREDENTIALS, False, detail)


def _limits(facts: CallFacts) -> Iterator[Finding]:
    used, limit = facts.channels_used, facts.voice_channels
    if used < limit:
        detail = Sentence("%(used)s of %(limit)s channels are in use.", used=used, limit=limit)
        yield Finding("channels_free", True, detail)
    else:
        detail = Sentence(
            "All channels are in use (%(used)s of %(limit)s); raise their number, or wait.",
            used=used,
            limit=limit,
        )
        yield Finding(CallVerdict.CHANNELS_IN_USE, False, detail)
    if not facts.spend_left:
        detail = Sentence(
            "The project has spent what it may today; raise its daily spend cap, or wait."
        )
        yield Finding(CallVerdict.SPEND_CAP_REACHED, False, detail)


_WHY = {
    RefusalReason.CHANNELS: Sentence("all channels were in use"),
    RefusalReason.DESTINATION: Sentence("the project may not call there"),
    RefusalReason.SPEND_CAP: Sentence("the project had spent what it may on one day"),
    RefusalReason.CALL_RATE: Sentence("the account started too many calls within one second"),
}


def _refusal(refusal: Refusal) -> Finding:
    now = (
        Sentence("it would be refused now, too")
        if refusal.holds
        else Sentence("it would not be refused for that now")
    )
    detail = Sentence(
        "The call to %(called)s at %(at)s was refused because %(why)s; %(now)s.",
        called=refusal.called,
        at=refusal.at,
        why=_WHY[refusal.reason],
        now=now,
    )
    return Finding(f"call_refused_{refusal.reason}", not refusal.holds, detail)
