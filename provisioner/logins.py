"""The operations of people who log in: passwords, second factors, invitations and sessions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from passlib.exc import TokenError
from passlib.totp import TOTP

from provisioner import journal, login_store, passwords, users
from provisioner.access import Actor, Role, Via
from provisioner.credentials import new_token, token_digest
from provisioner.db import Connection
from provisioner.errors import CodeRefused, InvalidInput, InvitationUnknown, LoginRefused
from provisioner.journal import Change, Facts
from provisioner.login_store import Secrets
from provisioner.sealing import Sealer
from provisioner.tenancy import User

USER_AGENT_LENGTH = 300  # characters that are kept
ISSUER = "Talky Time"
CODE_WINDOW = 30  # seconds by which clocks may differ
SOMEBODY = "somebody"  # who failed to log in


class Refused(StrEnum):
    """What was wrong about a login."""

    PASSWORD = "password"  # noqa: S105 - the reason's name
    CODE = "code"


@dataclass(frozen=True)
class Login:
    """Whose password was right, and since when it is his."""

    user_id: int
    password_changed_at: datetime | None
    needs_second_factor: bool


@dataclass(frozen=True)
class Session:
    """Who has logged in."""

    id: int
    user: User

    def actor(self, *, source: str | None, request_id: str | None) -> Actor:
        """Return who acts where a request belongs to this session."""
        return _actor(self.user, source, request_id)


@dataclass(frozen=True)
class Invitation:
    """A text that lets a user choose his password once."""

    text: str = field(repr=False)
    expires_at: datetime


def authenticate(candidates: Sequence[Secrets], password: str) -> Login:
    """Find whose password it is, of those who log in with one email address.

    It takes long, so no transaction should wait for it; `begin` looks again. Where several have the
    same password it is the oldest user's.

    Raises:
        LoginRefused: nobody's.
    """
    stored = [one.password_hash for one in candidates] or [None]
    fitting = [passwords.fits(password, one) for one in stored]
    if True not in fitting:
        raise LoginRefused()
    found = candidates[fitting.index(True)]
    return _login(found)


def begin(
    connection: Connection, login: Login, *, source: str | None, user_agent: str, request_id: str
) -> tuple[str, User]:
    """Begin a session; return the text that stands for it, and its user.

    Raises:
        LoginRefused: since his password was found right he was deactivated, or what he logs in with
            was changed.
    """
    secrets = login_store.locked(connection, login.user_id)
    if secrets is None or not secrets.user.active or _login(secrets) != login:
        raise LoginRefused()
    token, user = new_token(), secrets.user
    agent = "".join(filter(str.isprintable, user_agent))[:USER_AGENT_LENGTH]
    login_store.insert_session(connection, user.id, token_digest(token), source, agent)
    _record(connection, _actor(user, source, request_id), "user.logged_in", user)
    return token, user


def tell_refused(
    connection: Connection,
    users: Iterable[User],
    reason: Refused,
    *,
    source: str | None,
    request_id: str,
) -> None:
    """Write down that somebody failed to log in as one of these."""
    for user in users:
        somebody = Actor(
            via=Via.CONSOLE,
            id=None,
            name=SOMEBODY,
            role=Role.READ_ONLY,
            customer_id=user.customer_id,
            source=source,
            request_id=request_id,
        )
        _record(connection, somebody, "user.login_refused", user, {"reason": reason})


def resume(connection: Connection, token: str, *, seen: bool = True) -> Session | None:
    """Return the session that a text stands for; None where it has ended.

    With `seen` it has been used just now; what a page asks by itself does not count as use.
    """
    row = login_store.session(connection, token_digest(token))
    if row is None:
        return None
    if seen and row["stale"]:
        login_store.see_session(connection, row["session_id"])
    return Session(row["session_id"], User.from_row(row))


def end(connection: Connection, token: str) -> None:
    """End a session; one that has ended already stays so."""
    login_store.end_session(connection, token_digest(token))


def set_language(connection: Connection, user_id: int, language: str) -> None:
    """Remember in which language the console speaks to a user."""
    login_store.set_language(connection, user_id, language)


def invite(connection: Connection, actor: Actor, user_id: int) -> Invitation:
    """Let a user choose a new password; the text is returned here only, and works once.

    Raises:
        NotFound: the actor sees no such user.
    """
    user = users.user(connection, actor, user_id, lock=True)
    text = new_token()
    expires_at = login_store.set_invitation(connection, user.id, token_digest(text))
    _record(connection, actor, "user.invited", user)
    return Invitation(text, expires_at)


def invited(connection: Connection, text: str) -> User:
    """Return whose invitation it is.

    Raises:
        InvitationUnknown: nobody's, or it has been used or has expired.
    """
    user = login_store.invitation(connection, token_digest(text))
    if user is None:
        raise InvitationUnknown()
    return user


def accept(
    connection: Connection, text: str, password: str, *, source: str | None, request_id: str
) -> User:
    """Choose the password of whoever is invited; his sessions end.

    Raises:
        InvitationUnknown: as `invited` does.
        InvalidInput: the password does not follow its rules.
    """
    user = invited(connection, text)
    set_password(connection, _actor(user, source, request_id), user, password)
    login_store.delete_invitation(connection, user.id)
    return user


def set_password(
    connection: Connection, actor: Actor, user: User, password: str, *, keep: int | None = None
) -> None:
    """Give a user a password; his sessions end, but perhaps one.

    Raises:
        InvalidInput: the password does not follow its rules.
    """
    _check_password(user, password)
    login_store.set_password(connection, user.id, passwords.hashed(password))
    login_store.end_sessions(connection, user.id, keep=keep)
    _record(connection, actor, "user.password_changed", user)


def check_password(connection: Connection, session: Session, password: str, field: str) -> None:
    """Check that it is really he who asks.

    Raises:
        InvalidInput: it is not his password.
    """
    secrets = login_store.locked(connection, session.user.id)
    if secrets is None or not passwords.fits(password, secrets.password_hash):
        raise InvalidInput(field, "is not your present password")


def check_repeated(password: str, again: str) -> None:
    """Check that a new password was typed twice alike.

    Raises:
        InvalidInput: it was not.
    """
    if password != again:
        raise InvalidInput("password_again", "must be the same password")


def _check_password(user: User, password: str) -> None:
    if not passwords.LENGTH_MIN <= len(password) <= passwords.LENGTH_MAX:
        raise InvalidInput("password", "must have 12 to 200 characters")
    if password.casefold() in (user.email.casefold(), user.name.casefold()):
        raise InvalidInput("password", "must not be your name or email address")


def new_second_factor(user: User) -> tuple[str, str]:
    """Make a secret for an authenticator app; return it, and the URI that an app scans."""
    totp = TOTP.new()
    label = user.email.replace(":", " ")  # it cannot hold a colon, which email addresses can
    return totp.base32_key, str(totp.to_uri(label=label, issuer=ISSUER))


def add_second_factor(
    connection: Connection, actor: Actor, user: User, secret: str, code: str, sealer: Sealer
) -> None:
    """Ask for a code at each login from now on, once the user has shown that he has one.

    Raises:
        CodeRefused: it is not the code.
    """
    counter = _counter(secret, code)
    login_store.set_totp(connection, user.id, sealer.seal(secret), counter)
    _record(connection, actor, "user.second_factor_added", user)


def check_second_factor(connection: Connection, user_id: int, code: str, sealer: Sealer) -> User:
    """Take a code, once; return whose it is.

    Raises:
        CodeRefused: it is not the code, or it was taken before.
    """
    secrets = login_store.locked(connection, user_id)
    if secrets is None or secrets.totp_sealed is None or not secrets.user.active:
        raise CodeRefused()
    counter = _counter(sealer.open(secrets.totp_sealed), code)
    if not login_store.use_totp(connection, user_id, counter):
        raise CodeRefused()
    return secrets.user


def remove_second_factor(connection: Connection, actor: Actor, user_id: int) -> None:
    """Ask for no code any more.

    Raises:
        NotFound: the actor sees no such user.
    """
    drop_second_factor(connection, actor, users.user(connection, actor, user_id, lock=True))


def drop_second_factor(connection: Connection, actor: Actor, user: User) -> None:
    """Ask a user for no code any more."""
    login_store.set_totp(connection, user.id, None)
    _record(connection, actor, "user.second_factor_removed", user)


def _counter(secret: str, code: str) -> int:
    """Return the time step of a code (RFC 6238 section 4.2).

    Raises:
        CodeRefused: it is not the code.
    """
    try:
        return int(TOTP(secret).match(code, window=CODE_WINDOW).counter)
    except (TokenError, ValueError):
        raise CodeRefused() from None


def _actor(user: User, source: str | None, request_id: str | None) -> Actor:
    return Actor(
        via=Via.CONSOLE,
        id=user.id,
        name=user.name,
        role=user.role,
        customer_id=user.customer_id,
        source=source,
        request_id=request_id,
    )


def _login(secrets: Secrets) -> Login:
    return Login(secrets.user.id, secrets.password_changed_at, secrets.user.has_second_factor)


def _record(
    connection: Connection, actor: Actor, kind: str, user: User, after: Facts = None
) -> None:
    change = Change(
        type=kind,
        subject="user",
        subject_id=user.id,
        after=after,
        customer_id=user.customer_id,
    )
    journal.record(connection, actor, change)
