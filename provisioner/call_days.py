"""Sums up the calls of days that are over, so that their totals are read in a few rows.

A change of such a day's calls (a rate that was missing, a call that outlasted its day) is noted in
the same transaction: from then on the calls themselves are read, until the day is summed up again.
"""

from provisioner import rating_store
from provisioner.db import Connection


def sum_up(connection: Connection) -> bool:
    """Sum up a day in a transaction of its own; False where none is due. Several workers may: one
    of them does. A connection that gives up on a slow answer would never get through a large day.
    """
    with connection.transaction():
        if not rating_store.claim_days(connection):
            return False
        rating_store.forget_changed_days(connection)
        day = rating_store.day_due(connection)
        if day is None:
            return False
        rating_store.sum_day(connection, day)
        return True
