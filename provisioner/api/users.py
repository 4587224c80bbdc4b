"""`/users` and `/tokens`: people, and what requests bear."""

from flask import request

from provisioner import listings, logins, users
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import TokenBody, TokensQuery, UserBody, UserPatch, UsersQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.tenancy_views import InvitationView, NewTokenView, TokenView, UserView
from provisioner.api.view import Page
from provisioner.errors import EmailTaken
from provisioner.tenancy import Token, User
from provisioner.users import NewToken

users_resource = Resource("Users", "/users")
tokens_resource = Resource("Tokens", "/tokens")

USER = "/<id:user_id>"
TOKEN = "/<id:token_id>"  # noqa: S105 - a path


def _current_user(call: Call, user_id: int) -> UserView:
    return UserView.of(users.user(call.connection, call.actor, user_id, lock=True))


@users_resource.post("", Permission.USERS_MANAGE, status=201, errors=[EmailTaken])
def create_user(call: Call, body: UserBody) -> UserView:
    """Add a user of a customer; one of the operator's own where the operator names none."""
    user = users.create_user(call.connection, call.actor, **dict(body))
    call.created(f"/users/{user.id}")
    return UserView.of(user)


@users_resource.get("", Permission.USERS_MANAGE)
def list_users(call: Call, query: UsersQuery) -> Page[UserView]:
    """List users."""
    return paging.page(
        call, listings.USERS, query, UserView, lambda row: UserView.of(User.from_row(row))
    )


@users_resource.get(USER, Permission.USERS_MANAGE)
def read_user(call: Call, user_id: int) -> UserView:
    """Show one user."""
    return UserView.of(users.user(call.connection, call.actor, user_id))


@users_resource.patch(USER, Permission.USERS_MANAGE, guard=_current_user, errors=[EmailTaken])
def change_user(call: Call, body: UserPatch, user_id: int) -> UserView:
    """Change a user. An inactive one's tokens are refused from the next request on."""
    changed = users.change_user(call.connection, call.actor, user_id, body.given())
    return UserView.of(changed)


@users_resource.delete(USER, Permission.USERS_MANAGE, guard=_current_user)
def delete_user(call: Call, user_id: int) -> None:
    """Remove a user and his tokens."""
    users.delete_user(call.connection, call.actor, user_id)


@users_resource.post(USER + "/invitation", Permission.USERS_MANAGE, status=201)
def invite_user(call: Call, user_id: int) -> InvitationView:
    """Let a user choose a password for the console, within 72 hours and once.

    The address is in this answer and nowhere else, ever; a former one is void.
    """
    invitation = logins.invite(call.connection, call.actor, user_id)
    url = f"{request.host_url}console/invitations/{invitation.text}"
    return InvitationView(url=url, expires_at=invitation.expires_at)


@users_resource.delete(USER + "/second-factor", Permission.USERS_MANAGE)
def remove_second_factor(call: Call, user_id: int) -> None:
    """Let a user who has lost his authenticator log in with his password alone."""
    logins.remove_second_factor(call.connection, call.actor, user_id)


@tokens_resource.post("", Permission.TOKENS_MANAGE, status=201)
def create_token(call: Call, body: TokenBody) -> NewTokenView:
    """Make a token, of a role and scope of its own or of a user's.

    Its text is in this answer and nowhere else, ever. It sees at the most what its maker sees.
    """
    token, text = users.create_token(call.connection, call.actor, NewToken(**dict(body)))
    call.created(f"/tokens/{token.id}")
    return NewTokenView.with_text(token, text)


@tokens_resource.get("", Permission.TOKENS_MANAGE)
def list_tokens(call: Call, query: TokensQuery) -> Page[TokenView]:
    """List tokens, never their text."""
    return paging.page(
        call, listings.TOKENS, query, TokenView, lambda row: TokenView.of(Token.from_row(row))
    )


@tokens_resource.get(TOKEN, Permission.TOKENS_MANAGE)
def read_token(call: Call, token_id: int) -> TokenView:
    """Show one token, never its text."""
    return TokenView.of(users.token_of(call.connection, call.actor, token_id))


@tokens_resource.delete(TOKEN, Permission.TOKENS_MANAGE)
def revoke_token(call: Call, token_id: int) -> None:
    """Revoke a token: it is refused from the next request on."""
    users.revoke_token(call.connection, call.actor, token_id)
