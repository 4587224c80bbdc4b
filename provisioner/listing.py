"""Lists: filtered, sorted, a page at a time, of what an actor sees.

The one place where SQL is put together at run time: of the fixed parts that each `Listing` names,
never of what a client sent. A page starts after the last row of the one before it (keyset), so that
a deep page costs as little as the first.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, LiteralString

from psycopg import sql
from psycopg.rows import DictRow

from provisioner.access import Actor
from provisioner.db import Connection, rows

BIGINT_MAX = 2**63 - 1
BATCH = 1000  # rows of a whole list that are in memory at a time

# What stands after the last row of a page: the value of the column sorted by, and of the key.
Position = Sequence[str | int]


@dataclass(frozen=True)
class Order:
    """The column to sort by; `descending` reverses it."""

    column: str
    descending: bool = False


@dataclass(frozen=True)
class Listing:
    """A list that can be read.

    `source` is a table or view; `key` its unique column, which ends every order; `columns` are
    those that it can be sorted by, with their types; `filters` maps a filter's name to its
    condition on `%(name)s`; `scope` maps customer and project to the columns that hold them.
    """

    source: str
    key: str
    columns: Mapping[str, type[str] | type[int] | type[datetime]]
    filters: Mapping[str, LiteralString] = field(default_factory=dict)
    scope: Mapping[str, str] = field(
        default_factory=lambda: {"customer": "customer_id", "project": "project_id"}
    )

    def is_position(self, order: Order, values: object) -> bool:
        """Say whether `values` can be where a page of this order starts."""
        wanted = [self.columns[column] for column in self._sorted_by(order)]
        return (
            isinstance(values, list)
            and len(values) == len(wanted)
            and all(_is_value(value, kind) for value, kind in zip(values, wanted, strict=True))
        )

    def position(self, order: Order, row: Mapping[str, Any]) -> list[str | int]:
        """Return where a row stands in an order."""
        values = (row[column] for column in self._sorted_by(order))
        return [one.isoformat() if isinstance(one, datetime) else one for one in values]

    def _sorted_by(self, order: Order) -> list[str]:
        return [order.column] if order.column == self.key else [order.column, self.key]

    def page(
        self,
        connection: Connection,
        actor: Actor,
        filters: Mapping[str, Any],
        order: Order,
        after: Position | None,
        limit: int,
    ) -> list[DictRow]:
        """Read at the most `limit` rows after a position; filters that are None do not count."""
        query, parameters = self._query(actor, filters, order, after)
        query += sql.SQL(" LIMIT %(limit)s")
        return rows(connection, query.as_bytes(connection), **parameters, limit=limit)

    def whole(
        self, connection: Connection, actor: Actor, filters: Mapping[str, Any], order: Order
    ) -> Iterator[list[DictRow]]:
        """Give all rows, some at a time; filters that are None do not count."""
        query, parameters = self._query(actor, filters, order, None)
        with connection.cursor(name=self.source) as cursor:
            cursor.execute(query, parameters)
            while found := cursor.fetchmany(BATCH):
                yield found

    def _query(
        self, actor: Actor, filters: Mapping[str, Any], order: Order, after: Position | None
    ) -> tuple[sql.Composed, dict[str, Any]]:
        """Put the query together, with its parameters; it has no limit."""
        chosen = {name: value for name, value in filters.items() if value is not None}
        conditions: list[sql.Composable] = [sql.SQL(self.filters[name]) for name in chosen]
        parameters: dict[str, Any] = dict(chosen)
        for name, value in (("customer", actor.customer_id), ("project", actor.project_id)):
            if value is not None and name in self.scope:
                parameters[f"scope_{name}"] = value
                column = sql.Identifier(self.scope[name])
                conditions.append(sql.SQL("{} = {}").format(column, _parameter(f"scope_{name}")))
        columns = self._sorted_by(order)
        if after is not None:
            parameters |= {f"after_{i}": value for i, value in enumerate(after)}
            conditions.append(_after(columns, descending=order.descending))
        query = sql.SQL("SELECT * FROM {} WHERE {} ORDER BY {}").format(
            sql.Identifier("provisioner", self.source),
            sql.SQL(" AND ").join(conditions) if conditions else sql.SQL("true"),
            sql.SQL(", ").join(
                sql.SQL("{} DESC" if order.descending else "{}").format(sql.Identifier(column))
                for column in columns
            ),
        )
        return query, parameters


def _after(columns: Sequence[str], *, descending: bool) -> sql.Composed:
    return sql.SQL("({}) < ({})" if descending else "({}) > ({})").format(
        sql.SQL(", ").join(map(sql.Identifier, columns)),
        sql.SQL(", ").join(_parameter(f"after_{i}") for i in range(len(columns))),
    )


def _parameter(name: str) -> sql.Placeholder:
    return sql.Placeholder(name)


def _is_value(value: object, kind: type) -> bool:
    if kind is int:
        return type(value) is int and 0 <= value <= BIGINT_MAX
    if kind is datetime:
        return isinstance(value, str) and _is_moment(value)
    return isinstance(value, str) and value.isprintable()  # as all texts are that lists sort by


def _is_moment(text: str) -> bool:
    """Say whether a text is as `position` writes a time, of years that PostgreSQL knows, too."""
    try:
        moment = datetime.fromisoformat(text)
        return moment.isoformat() == text and moment.astimezone(UTC).year > 1
    except (ValueError, OverflowError):
        return False


def containing(text: str) -> str:
    r"""Return a LIKE pattern for what contains a text; `%`, `_` and `\` stand for themselves."""
    for special in "\\%_":
        text = text.replace(special, "\\" + special)
    return f"%{text}%"
