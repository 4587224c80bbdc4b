"""Accounts in bulk, by SQL, for benchmarks that need many but do not measure their creation."""

from collections.abc import Sequence

import psycopg

from provisioner.credentials import Secret, new_secret
from provisioner.stack.stack import Stack

FEW, MANY = 1_000, 1_000_000  # accounts of the systems that are compared with each other

INSERT_NUMBERS = """
    INSERT INTO provisioner.numbers (number, customer_id, project_id, state)
    SELECT '+' || username, project.customer_id, project.id, 'active'
      FROM unnest(%(usernames)s::text[]) AS username
     CROSS JOIN (SELECT * FROM provisioner.projects ORDER BY id LIMIT 1) AS project
"""

PROJECT = """
    INSERT INTO kamailio.subscriber
           (account_id, username, domain, password, ha1b, ha1, ha1_sha256, registration_allowed,
            channels, source_group, allowed_networks)
    SELECT account_id, username, domain, password, ha1b, ha1, ha1_sha256, registration_allowed,
           channels, source_group, allowed_networks
      FROM provisioner.desired_subscriber
"""

# Enabled accounts, then Kamailio's rows for them from the view, as a rebuild makes them.
STATEMENTS = (
    INSERT_NUMBERS,
    """
    INSERT INTO provisioner.sip_accounts
           (customer_id, project_id, name, main_number, voice_channels, tariff, cloudfire_only,
            state)
    SELECT customer_id, project_id, number, number, %(voice_channels)s, 'pay_per_use', false,
           'enabled'
      FROM provisioner.numbers
     WHERE account_id IS NULL AND ltrim(number, '+') = ANY (%(usernames)s)
    """,
    """
    UPDATE provisioner.numbers SET account_id = account.id
      FROM provisioner.sip_accounts AS account
     WHERE account.main_number = numbers.number AND numbers.account_id IS NULL
    """,
    """
    INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
    SELECT account.id, secret.username, %(realm)s, secret.ha1, secret.ha1_sha256
      FROM unnest(%(usernames)s::text[], %(ha1)s::text[], %(ha1_sha256)s::text[])
           AS secret (username, ha1, ha1_sha256)
      JOIN provisioner.sip_accounts AS account ON account.main_number = '+' || secret.username
    """,
    f"{PROJECT} WHERE username = ANY (%(usernames)s)",
)

# Accounts before their numbers: that the main number is one of them is checked at the end. Numbers
# are scattered (the factor has no divisor in common with 10^10), as real ones are.
FILL = (
    """
    INSERT INTO provisioner.sip_accounts
           (customer_id, project_id, name, main_number, voice_channels, tariff, cloudfire_only,
            state)
    SELECT project.customer_id, project.id, 'Line ' || i,
           '+39' || to_char(i * 6180339887 %% 10000000000, 'FM0000000000'), 2, 'pay_per_use', false,
           'enabled'
      FROM generate_series(1, %(count)s) AS i
     CROSS JOIN (SELECT * FROM provisioner.projects ORDER BY id LIMIT 1) AS project
    """,
    """
    INSERT INTO provisioner.numbers (number, customer_id, project_id, state, account_id)
    SELECT main_number, customer_id, project_id, 'active', id FROM provisioner.sip_accounts
    """,
    """
    INSERT INTO provisioner.credentials (account_id, username, realm, ha1, ha1_sha256)
    SELECT id, ltrim(main_number, '+'), %(realm)s, md5(main_number),
           encode(sha256(main_number::bytea), 'hex')
      FROM provisioner.sip_accounts
    """,
    PROJECT,
)


GIVE_PASSWORDS = """
    WITH secret AS (
        SELECT * FROM unnest(%(usernames)s::text[], %(ha1)s::text[], %(ha1_sha256)s::text[])
               AS secret (username, ha1, ha1_sha256)),
    kept AS (
        UPDATE provisioner.credentials AS kept
           SET ha1 = secret.ha1, ha1_sha256 = secret.ha1_sha256
          FROM secret WHERE kept.username = secret.username)
    UPDATE kamailio.subscriber AS shown
       SET ha1 = secret.ha1, ha1_sha256 = secret.ha1_sha256
      FROM secret WHERE shown.username = secret.username
"""


def realm_of(stack: Stack) -> str:
    """Return a running stack's realm."""
    with psycopg.connect(stack.database_url) as connection:
        row = connection.execute("SELECT realm FROM provisioner.installation").fetchone()
    if row is None:
        raise RuntimeError("The stack's database has no realm.")
    return str(row[0])


def numbers(first: int, count: int) -> list[str]:
    """Return numbers in E.164 that no other call with another range returns."""
    return [f"+39{number:010d}" for number in range(first, first + count)]


def add_numbers(stack: Stack, wanted: Sequence[str]) -> None:
    """Add active numbers that no account uses."""
    with psycopg.connect(stack.database_url) as connection:
        connection.execute(INSERT_NUMBERS, {"usernames": [number[1:] for number in wanted]})


def populate(stack: Stack, count: int, voice_channels: int = 2) -> list[Secret]:
    """Add enabled accounts with projected credentials; return their secrets."""
    realm = realm_of(stack)
    secrets = [new_secret(number.lstrip("+"), realm) for number in numbers(0, count)]
    parameters = {
        "realm": realm,
        "voice_channels": voice_channels,
        "usernames": [secret.username for secret in secrets],
        "ha1": [secret.ha1 for secret in secrets],
        "ha1_sha256": [secret.ha1_sha256 for secret in secrets],
    }
    with psycopg.connect(stack.database_url) as connection:
        for statement in STATEMENTS:
            connection.execute(statement, parameters)
    analyze(stack.database_admin_url)
    return secrets


def fill(stack: Stack, count: int) -> None:
    """Add that many enabled accounts and their projection, with made-up hashes."""
    with psycopg.connect(stack.database_admin_url) as connection:
        for statement in FILL:
            connection.execute(statement, {"count": count, "realm": realm_of(stack)})
    analyze(stack.database_admin_url)


def give_passwords(stack: Stack, count: int) -> list[Secret]:
    """Give some accounts passwords that are known; return those."""
    realm = realm_of(stack)
    secrets = [new_secret(username, realm) for username in some_accounts(stack, count)]
    parameters = {
        "usernames": [secret.username for secret in secrets],
        "ha1": [secret.ha1 for secret in secrets],
        "ha1_sha256": [secret.ha1_sha256 for secret in secrets],
    }
    with psycopg.connect(stack.database_admin_url) as connection:
        connection.execute(GIVE_PASSWORDS, parameters)
    return secrets


def account_ids(stack: Stack, secrets: Sequence[Secret]) -> dict[str, int]:
    """Return the account of each username."""
    query = "SELECT username, account_id FROM provisioner.credentials WHERE username = ANY (%s)"
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(query, [[secret.username for secret in secrets]]).fetchall()
    return {str(username): int(account_id) for username, account_id in rows}


def some_accounts(stack: Stack, count: int) -> dict[str, int]:
    """Return some enabled accounts: username and id."""
    query = """
        SELECT substr(main_number, 2), id FROM provisioner.sip_accounts
         WHERE state = 'enabled' ORDER BY id LIMIT %s
    """
    with psycopg.connect(stack.database_url) as connection:
        rows = connection.execute(query, [count]).fetchall()
    return {str(username): int(account_id) for username, account_id in rows}


def analyze(admin_url: str) -> None:
    """Let the planner know a freshly filled database, as it would after a while by itself."""
    with psycopg.connect(admin_url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")
