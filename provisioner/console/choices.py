"""What forms offer to choose from."""

from provisioner import listings
from provisioner.console.visits import Visit
from provisioner.listing import Order
from provisioner.tenancy import Project

OFFERED_MAX = 200  # customers or projects in one form


def customers(visit: Visit) -> list[tuple[int, str]]:
    """List the customers that the operator can choose one of; nobody else has a choice."""
    if visit.actor.customer_id is not None:
        return []
    rows = listings.CUSTOMERS.page(
        visit.connection, visit.actor, {}, Order("name"), None, OFFERED_MAX
    )
    return [(row["id"], row["name"]) for row in rows]


def projects(visit: Visit) -> list[Project]:
    """List the projects that somebody sees, for him to choose one."""
    rows = listings.PROJECTS.page(
        visit.connection, visit.actor, {}, Order("name"), None, OFFERED_MAX
    )
    return [Project.from_row(row) for row in rows]
