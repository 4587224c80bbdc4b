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


def projects(visit: Visit) -> list[tuple[int, str]]:
    """List the projects that somebody can choose one of; to the operator, with their customers."""
    of = dict(customers(visit))
    rows = listings.PROJECTS.page(
        visit.connection, visit.actor, {}, Order("name"), None, OFFERED_MAX
    )
    return [(one.id, _label(one, of)) for one in map(Project.from_row, rows)]


def _label(project: Project, customers: dict[int, str]) -> str:
    """Name a project; many customers call one alike."""
    customer = customers.get(project.customer_id)
    return project.name if customer is None else f"{project.name} · {customer}"
