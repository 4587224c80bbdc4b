"""Imports run one way, so that a module can be understood from those below it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "provisioner"

# Lowest first: a module imports from lower layers only, or from its own where it must.
LAYERS = [
    ["settings", "errors", "times", "access", "sources", "attempt", "ban", "arrival", "keepalive"],
    ["origin", "tracing", "opentelemetry_spans"],
    ["lines", "meters", "tallies", "exposition"],
    ["model", "tenancy", "calling", "guard", "credentials", "passwords", "sealing", "pricing"],
    ["sentences"],
    ["fields", "reconcile", "strict_json", "rate_plan"],
    ["db", "queries"],
    [
        *("store", "tenancy_store", "sync_store", "hook_store", "webhook_store"),
        *("trunk_store", "guard_store", "rating_store", "login_store"),
    ],
    [
        *("listing", "journal", "kamailio", "migrate", "handovers", "waking", "facts"),
        *("confirmations", "replica"),
    ],
    ["listings", "loops", "costing", "call_days", "recovery"],
    ["projects", "users"],
    ["logins"],
    ["numbers", "networks", "nodes", "trunks", "call_policies"],
    ["registrations", "accounts", "comparison", "refusals", "guessing"],
    ["bans", "caller_id", "transfers", "rotation", "diagnosis", "call_diagnosis"],
    ["diagnosis_facts"],
    ["bulk", "hooks", "node_sync"],
    ["rate_rows", "rates", "call_records"],
    ["worker"],
    ["api"],
    ["console"],
    ["app", "reception", "measured"],
    ["server"],
    ["cli"],
    ["__main__", "stack"],
]
PURE = [
    *("model", "access", "tenancy", "calling", "credentials", "fields", "reconcile", "errors"),
    *(
        "sources",
        "arrival",
        "attempt",
        "ban",
        "diagnosis",
        "call_diagnosis",
        "guard",
        "sealing",
        "strict_json",
        "pricing",
        "rate_plan",
        "times",
        "sentences",
        "hooks/fold",
        "hooks/backoff",
    ),
]
OUTSIDE = {"flask", "psycopg", "psycopg_pool", "http", "urllib", "socket", "os"}


def layer(module: str) -> int:
    return next(i for i, modules in enumerate(LAYERS) if module in modules)


def modules() -> list[Path]:
    return [path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py"]


def imported(path: Path) -> set[str]:
    """Name every module that a file imports, `from a import b` as `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_run_one_way(path: Path) -> None:
    own = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    used = {name.split(".")[1] for name in imported(path) if name.startswith("provisioner.")}
    assert all(layer(name) <= layer(own) for name in used), f"{own} imports {used}"


@pytest.mark.parametrize("module", PURE)
def test_pure_modules_do_no_input_or_output(module: str) -> None:
    tops = {name.split(".")[0] for name in imported(PACKAGE / f"{module}.py")}
    assert not tops & OUTSIDE


def test_only_settings_and_the_stacks_entry_read_the_environment() -> None:
    readers = {
        str(path.relative_to(PACKAGE))
        for path in modules()
        if "os.environ" in path.read_text(encoding="utf-8")
    }
    assert readers == {"settings.py", "stack/__main__.py"}
