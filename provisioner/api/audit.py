"""`/audit-events`: who did what to what."""

from collections.abc import Mapping
from typing import Any

from provisioner import listings
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import AuditQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.tenancy_views import AuditEventView
from provisioner.api.view import Page

resource = Resource("Audit", "/audit-events")


@resource.get("", Permission.AUDIT_READ)
def list_audit_events(call: Call, query: AuditQuery) -> Page[AuditEventView]:
    """List what was done, the latest first; nobody can change or remove an entry."""
    return paging.page(call, listings.AUDIT_EVENTS, query, AuditEventView, _show)


def _show(row: Mapping[str, Any]) -> AuditEventView:
    source = row["source"]
    return AuditEventView(**{**row, "source": str(source) if source is not None else None})
