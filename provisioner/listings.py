"""The lists that can be read: of what, sorted by what, filtered by what."""

from datetime import datetime

from provisioner.listing import Listing

CUSTOMERS = Listing(
    source="customers",
    key="id",
    columns={"id": int, "name": str},
    filters={"q": "name ILIKE %(q)s", "external_id": "external_id = %(external_id)s"},
    scope={"customer": "id"},
)

PROJECTS = Listing(
    source="projects",
    key="id",
    columns={"id": int, "name": str},
    filters={
        "q": "name ILIKE %(q)s",
        "external_id": "external_id = %(external_id)s",
        "customer": "customer_id = %(customer)s",
    },
    scope={"customer": "customer_id", "project": "id"},
)

NUMBERS = Listing(
    source="numbers",
    key="number",
    columns={"number": str},
    filters={
        "state": "state = %(state)s",
        "choosable": "(state = 'active' AND account_id IS NULL) = %(choosable)s",
        "q": "number LIKE %(q)s",
        "number": "number = %(number)s",
        "project": "project_id = %(project)s",
        "customer": "customer_id = %(customer)s",
        "account": "account_id = %(account)s",
        "external_id": "external_id = %(external_id)s",
    },
)

CHOOSABLE_NUMBERS = Listing(
    source="choosable_numbers",
    key="number",
    columns={"number": str},
    filters={"q": "number LIKE %(q)s"},
)

ACCOUNTS = Listing(
    source="account_status",
    key="id",
    columns={"id": int, "name": str, "main_number": str},
    filters={
        "state": "state = %(state)s",
        "q": "(name || ' ' || main_number) ILIKE %(q)s",
        "number": "id = (SELECT account_id FROM provisioner.numbers WHERE number = %(number)s)",
        "project": "project_id = %(project)s",
        "customer": "customer_id = %(customer)s",
        "external_id": "external_id = %(external_id)s",
    },
)

LIVE_CALLS = Listing(
    source="live_calls",
    key="id",
    columns={"id": int},
    filters={"account": "account_id = %(account)s"},
)

USERS = Listing(
    source="users",
    key="id",
    columns={"id": int, "email": str},
    filters={
        "q": "(name ILIKE %(q)s OR email ILIKE %(q)s)",
        "role": "role = %(role)s",
        "active": "active = %(active)s",
        "customer": "customer_id = %(customer)s",
    },
    scope={"customer": "customer_id"},
)

TOKENS = Listing(
    source="token_status",
    key="id",
    columns={"id": int},
    filters={"user": "user_id = %(user)s", "customer": "customer_id = %(customer)s"},
)

AUDIT_EVENTS = Listing(
    source="audit_events",
    key="id",
    columns={"id": int},
    filters={
        "type": "type = %(type)s",
        "subject": "subject = %(subject)s",
        "subject_id": "subject_id = %(subject_id)s",
        "via": "via = %(via)s",
        "customer": "customer_id = %(customer)s",
        "project": "project_id = %(project)s",
        "request_id": "request_id = %(request_id)s",
        "since": "at >= %(since)s",
        "until": "at < %(until)s",
    },
)

# The operator's alone, so no scope limits it.
TRUNKS = Listing(
    source="trunks",
    key="id",
    columns={"id": int, "name": str},
    filters={"kind": "kind = %(kind)s", "project": "project_id = %(project)s"},
    scope={},
)

HOOK_SOURCES = Listing(
    source="hook_source_status",
    key="id",
    columns={"id": int},
    scope={"customer": "customer_id"},
)

HOOK_EVENTS = Listing(
    source="incoming_event_status",
    key="id",
    columns={"id": int},
    filters={
        "status": "status = %(status)s",
        "type": "type = %(type)s",
        "source": "source_id = %(source)s",
    },
    scope={"customer": "customer_id"},
)

WEBHOOK_ENDPOINTS = Listing(
    source="webhook_endpoint_status",
    key="id",
    columns={"id": int},
    filters={"active": "active = %(active)s"},
)

WEBHOOK_DELIVERIES = Listing(
    source="webhook_delivery_status",
    key="id",
    columns={"id": int},
    filters={
        "state": "state = %(state)s",
        "endpoint": "endpoint_id = %(endpoint)s",
        "type": "type = %(type)s",
    },
)

IMPORTS = Listing(
    source="imports",
    key="id",
    columns={"id": int},
    filters={"kind": "kind = %(kind)s", "status": "status = %(status)s"},
    scope={"customer": "customer_id", "project": "scope_project_id"},
)

CALL_RECORDS = Listing(
    source="call_record_status",
    key="id",
    columns={"id": int, "started_at": datetime},
    filters={
        "since": "started_at >= %(since)s",
        "until": "started_at < %(until)s",
        "account": "account_id = %(account)s",
        "project": "project_id = %(project)s",
        "customer": "customer_id = %(customer)s",
        "direction": "direction = %(direction)s",
        "caller": "caller = %(caller)s",
        "called": "called = %(called)s",
        "rated": "(rated_at IS NOT NULL) = %(rated)s",
    },
)

RATES = Listing(
    source="rates",
    key="id",
    columns={"id": int, "prefix": str},
    filters={
        "side": "side = %(side)s",
        "prefix": "prefix = %(prefix)s",
        "number": "prefix = ANY (provisioner.prefixes(%(number)s))",
        "at": "valid_from <= %(at)s AND (valid_until IS NULL OR valid_until > %(at)s)",
    },
    scope={},
)
