"""Why can't this phone register? One answer an account, from all that is known of it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from provisioner.attempt import Attempt, Reason
from provisioner.ban import Ban
from provisioner.guard import Guessing
from provisioner.model import AccountState
from provisioner.sentences import Sentence
from provisioner.sources import Sources


class Verdict(StrEnum):
    """The answer in a word; stable. A finding that stands in the way has one as its code."""

    REGISTERED = "registered"
    ACCOUNT_DISABLED = "account_disabled"
    NO_CREDENTIALS = "no_credentials"
    NETWORK_NOT_ALLOWED = "network_not_allowed"
    BANNED = "banned"
    WRONG_PASSWORD = "wrong_password"  # noqa: S105 - the verdict's name
    WRONG_IDENTITY = "wrong_identity"
    NODE_UNAVAILABLE = "node_unavailable"
    NOT_CONVERGED = "not_converged"
    NOT_TRIED_SINCE = "not_tried_since"
    NEVER_TRIED = "never_tried"


BANS_TOLD = 3

# Whatever else is found, no device gets past these.
_BARRED = {Verdict.ACCOUNT_DISABLED, Verdict.NO_CREDENTIALS}
_FREE = {Verdict.REGISTERED, Verdict.NOT_TRIED_SINCE, Verdict.NEVER_TRIED}


@dataclass(frozen=True)
class Registered:
    """A device that is registered: what it calls itself, and where it is."""

    user_agent: str
    source: str
    node: str


@dataclass(frozen=True)
class Facts:
    """What is known of an account at one moment.

    `credentials_since`: since when its password holds, None where it has none; `changes_at`: when
    that is scheduled to change; `cloudfire`: CloudFire's networks; `attempts`: the last ones that
    nodes have refused; `bans`: of sources that it was used from; `guessing`: who guesses its
    password; `pending_nodes`: those that do not obey its present state yet.
    """

    state: AccountState
    sources: Sources
    credentials_since: datetime | None
    changes_at: datetime | None = None
    cloudfire: Sequence[str] = ()
    attempts: Sequence[Attempt] = ()
    bans: Sequence[Ban] = ()
    guessing: Guessing | None = None
    registered: Sequence[Registered] = ()
    unavailable_nodes: Sequence[str] = ()
    pending_nodes: Sequence[str] = ()


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at; `ok` is False where it stands in the way."""

    code: str
    ok: bool
    detail: Sentence


@dataclass(frozen=True)
class Diagnosis:
    """The answer: a verdict, a sentence that explains it, and all that was looked at, in order."""

    can_register: bool
    verdict: Verdict
    detail: Sentence
    findings: tuple[Finding, ...]


def diagnose(facts: Facts) -> Diagnosis:
    """Decide why a device cannot register with an account, or that nothing stands in its way."""
    findings = (
        _state(facts),
        *_credentials(facts),
        _networks(facts),
        *_bans(facts),
        *_attempts(facts),
        *_guessing(facts),
        *_registered(facts),
        *_nodes(facts),
    )
    verdict, detail = _verdict(facts, findings)
    return Diagnosis(verdict in _FREE, verdict, detail, findings)


def _verdict(facts: Facts, findings: Sequence[Finding]) -> tuple[Verdict, Sentence]:
    problems = [(Verdict(one.code), one.detail) for one in findings if not one.ok]
    barred = [problem for problem in problems if problem[0] in _BARRED]
    if barred:
        return barred[0]
    if facts.registered:
        return Verdict.REGISTERED, _where(facts.registered[0])
    if problems:
        return problems[0]
    if facts.attempts:
        return (
            Verdict.NOT_TRIED_SINCE,
            Sentence(
                "What refused the last attempt does not hold any more; the device has not tried"
                " since."
            ),
        )
    return (
        Verdict.NEVER_TRIED,
        Sentence(
            "Nothing stands in the way, but no device has tried within the last day: look at the"
            " server, the port and the username that it was given."
        ),
    )


def _state(facts: Facts) -> Finding:
    if facts.state is AccountState.DISABLED:
        return Finding(
            Verdict.ACCOUNT_DISABLED,
            False,
            Sentence("The account is disabled, so no device can register; enable it."),
        )
    if facts.state is AccountState.LINKED_TO_TEAMS:
        return Finding("account_linked_to_teams", True, Sentence("The account is linked to Teams."))
    return Finding("account_enabled", True, Sentence("The account is enabled."))


def _credentials(facts: Facts) -> Iterator[Finding]:
    if facts.credentials_since is None:
        detail = Sentence("The account has no password, so no device can register; make a new one.")
        yield Finding(Verdict.NO_CREDENTIALS, False, detail)
    else:
        detail = Sentence("The password holds since %(at)s.", at=facts.credentials_since)
        yield Finding("credentials_exist", True, detail)
    if facts.changes_at is not None:
        detail = Sentence("It is scheduled to change at %(at)s.", at=facts.changes_at)
        yield Finding("credentials_change_scheduled", True, detail)


def _networks(facts: Facts) -> Finding:
    if not facts.sources.restricted:
        detail = Sentence("It may register from any network.")
        return Finding("any_network_allowed", True, detail)
    networks = facts.sources.networks(facts.cloudfire)
    if networks:
        detail = Sentence("It may register from %(networks)s.", networks=_listed(networks))
        return Finding("networks_restricted", True, detail)
    detail = Sentence("It may register from CloudFire's networks only, and none is known.")
    return Finding(Verdict.NETWORK_NOT_ALLOWED, False, detail)


def _bans(facts: Facts) -> Iterator[Finding]:
    """Tell of the latest bans; an account that is attacked may have many."""
    latest = sorted(facts.bans, key=lambda ban: ban.since, reverse=True)
    for ban in latest[:BANS_TOLD]:
        detail = Sentence(
            "%(source)s is refused until %(until)s after %(guesses)s wrong passwords, the last at"
            " %(since)s: correct the password there, then wait or have the ban lifted.",
            source=ban.source,
            until=ban.until,
            guesses=ban.guesses,
            since=ban.since,
        )
        yield Finding(Verdict.BANNED, False, detail)


def _guessing(facts: Facts) -> Iterator[Finding]:
    """Tell of an attack that no ban can end; it does not stand in the device's way."""
    if facts.guessing is not None:
        detail = Sentence(
            "Its password is guessed at from many addresses (%(addresses)s within ten minutes, the"
            " last at %(at)s); made of 128 random bits, it is not found that way.",
            addresses=facts.guessing.addresses,
            at=facts.guessing.last_at,
        )
        yield Finding("guessing_suspected", True, detail)


def _attempts(facts: Facts) -> Iterator[Finding]:
    """Judge the attempts by what holds now, the latest first."""
    latest = sorted(facts.attempts, key=lambda attempt: attempt.at, reverse=True)
    for attempt in latest:
        code, why = _judge(facts, attempt)
        detail = Sentence(
            "The attempt of %(at)s from %(device)s %(why)s.",
            at=attempt.at,
            device=_device(attempt),
            why=why,
        )
        yield Finding(code or "refused_before", code is None, detail)


def _judge(facts: Facts, attempt: Attempt) -> tuple[Verdict | None, Sentence]:
    """Say what an attempt failed for: the verdict where it would fail again, and the words."""
    match attempt.reason:
        case Reason.PASSWORD:
            since = facts.credentials_since
            if since is None or attempt.at < since.replace(microsecond=0):
                return None, Sentence("had another password than the present one")
            return Verdict.WRONG_PASSWORD, Sentence("had a wrong password")
        case Reason.IDENTITY:
            return (
                Verdict.WRONG_IDENTITY,
                Sentence(
                    "had the right password, but for another address than the account's own: the"
                    " device's user and its authentication name must be the same"
                ),
            )
        case Reason.DISABLED:
            return None, Sentence("had the right password, but the account was disabled then")
        case Reason.NETWORK:
            if facts.sources.admit(attempt.source, facts.cloudfire):
                return None, Sentence("came from a network that was not allowed then; now it is")
            return Verdict.NETWORK_NOT_ALLOWED, Sentence("came from a network that is not allowed")


def _registered(facts: Facts) -> Iterator[Finding]:
    for device in facts.registered:
        yield Finding(Verdict.REGISTERED, True, _where(device))
    if not facts.registered and len(facts.unavailable_nodes) == 0:
        yield Finding("not_registered", True, Sentence("No device is registered."))


def _nodes(facts: Facts) -> Iterator[Finding]:
    if facts.unavailable_nodes:
        detail = Sentence(
            "These nodes do not answer: %(nodes)s.", nodes=_listed(facts.unavailable_nodes)
        )
        yield Finding(Verdict.NODE_UNAVAILABLE, False, detail)
    if facts.pending_nodes:
        detail = Sentence(
            "These nodes have yet to confirm a change: %(nodes)s.",
            nodes=_listed(facts.pending_nodes),
        )
        yield Finding(Verdict.NOT_CONVERGED, False, detail)
    else:
        yield Finding("converged", True, Sentence("Every node has confirmed the account's state."))


def _where(device: Registered) -> Sentence:
    return Sentence(
        "%(name)s is registered from %(source)s, on %(node)s.",
        name=device.user_agent or Sentence("A device"),
        source=device.source,
        node=device.node,
    )


def _device(attempt: Attempt) -> str:
    host = f"[{attempt.source}]" if ":" in attempt.source else attempt.source
    agent = f" ({attempt.user_agent})" if attempt.user_agent else ""
    return f"{host}:{attempt.port}/{attempt.transport}{agent}"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
