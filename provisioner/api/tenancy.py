"""`/customers` and `/projects`: whose numbers and accounts they are."""

from provisioner import listings, projects
from provisioner.access import Permission
from provisioner.api import paging
from provisioner.api.bodies import NamedBody, NamedPatch, NamedQuery, ProjectBody, ProjectsQuery
from provisioner.api.resource import Resource
from provisioner.api.serving import Call
from provisioner.api.tenancy_views import CustomerView, ProjectView
from provisioner.api.view import Page
from provisioner.errors import ExternalIdTaken, ProjectNameTaken, StillInUse
from provisioner.tenancy import Customer, Project

customers_resource = Resource("Customers", "/customers")
projects_resource = Resource("Projects", "/projects")

CUSTOMER = "/<id:customer_id>"
PROJECT = "/<id:project_id>"


def _current_customer(call: Call, customer_id: int) -> CustomerView:
    return CustomerView.of(projects.customer(call.connection, call.actor, customer_id, lock=True))


@customers_resource.post("", Permission.CUSTOMERS_MANAGE, status=201, errors=[ExternalIdTaken])
def create_customer(call: Call, body: NamedBody) -> CustomerView:
    """Add a customer. Only the operator can."""
    customer = projects.create_customer(call.connection, call.actor, body.name, body.external_id)
    call.created(f"/customers/{customer.id}")
    return CustomerView.of(customer)


@customers_resource.get("", Permission.CUSTOMERS_READ)
def list_customers(call: Call, query: NamedQuery) -> Page[CustomerView]:
    """List customers: the operator's all, or the token's own."""
    return paging.page(
        call,
        listings.CUSTOMERS,
        query,
        CustomerView,
        lambda row: CustomerView.of(Customer.from_row(row)),
    )


@customers_resource.get(CUSTOMER, Permission.CUSTOMERS_READ)
def read_customer(call: Call, customer_id: int) -> CustomerView:
    """Show one customer."""
    return CustomerView.of(projects.customer(call.connection, call.actor, customer_id))


@customers_resource.patch(
    CUSTOMER, Permission.CUSTOMERS_MANAGE, guard=_current_customer, errors=[ExternalIdTaken]
)
def change_customer(call: Call, body: NamedPatch, customer_id: int) -> CustomerView:
    """Change a customer's name or external id."""
    changed = projects.change_customer(call.connection, call.actor, customer_id, body.given())
    return CustomerView.of(changed)


@customers_resource.delete(
    CUSTOMER, Permission.CUSTOMERS_MANAGE, guard=_current_customer, errors=[StillInUse]
)
def delete_customer(call: Call, customer_id: int) -> None:
    """Remove a customer that has neither projects nor users nor tokens."""
    projects.delete_customer(call.connection, call.actor, customer_id)


def _current_project(call: Call, project_id: int) -> ProjectView:
    return ProjectView.of(projects.project(call.connection, call.actor, project_id, lock=True))


@projects_resource.post(
    "", Permission.PROJECTS_MANAGE, status=201, errors=[ProjectNameTaken, ExternalIdTaken]
)
def create_project(call: Call, body: ProjectBody) -> ProjectView:
    """Add a project to a customer; to the token's own where it names none."""
    project = projects.create_project(
        call.connection, call.actor, body.name, body.external_id, body.customer_id
    )
    call.created(f"/projects/{project.id}")
    return ProjectView.of(project)


@projects_resource.get("", Permission.PROJECTS_READ)
def list_projects(call: Call, query: ProjectsQuery) -> Page[ProjectView]:
    """List projects."""
    return paging.page(
        call,
        listings.PROJECTS,
        query,
        ProjectView,
        lambda row: ProjectView.of(Project.from_row(row)),
    )


@projects_resource.get(PROJECT, Permission.PROJECTS_READ)
def read_project(call: Call, project_id: int) -> ProjectView:
    """Show one project."""
    return ProjectView.of(projects.project(call.connection, call.actor, project_id))


@projects_resource.patch(
    PROJECT,
    Permission.PROJECTS_MANAGE,
    guard=_current_project,
    errors=[ProjectNameTaken, ExternalIdTaken],
)
def change_project(call: Call, body: NamedPatch, project_id: int) -> ProjectView:
    """Change a project's name or external id."""
    changed = projects.change_project(call.connection, call.actor, project_id, body.given())
    return ProjectView.of(changed)


@projects_resource.delete(
    PROJECT, Permission.PROJECTS_MANAGE, guard=_current_project, errors=[StillInUse]
)
def delete_project(call: Call, project_id: int) -> None:
    """Remove a project that has neither numbers nor accounts nor tokens."""
    projects.delete_project(call.connection, call.actor, project_id)
