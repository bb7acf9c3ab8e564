"""Whether a log has the customers that weights were learned on: users, or accounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ces_ml.errors import EventLogError, show
from ces_ml.events import EventSchema
from ces_ml.weights import WeightSet

__all__ = ["check_customers"]


def check_customers(weight_set: WeightSet, schema: EventSchema, options: Mapping[str, Any]) -> None:
    """Refuse a log of users for weights that were learned on accounts.

    Parameters
    ----------
    weight_set : WeightSet
    schema : EventSchema
        The columns of the log.
    options : mapping
        Options of the engine; with `accounts` or `account_table` users are rolled up.

    Raises
    ------
    EventLogError
        If users would be scored as if they were accounts.
    """
    learned = weight_set.account_col
    rolled_up = any(options.get(key) is not None for key in ("accounts", "account_table"))
    if learned is None or rolled_up or schema.customer_col == learned:
        return
    raise EventLogError(
        "the weights were learned on accounts, and the log has users",
        got=f"customers in column {show(schema.customer_col)}, and no mapping to accounts",
        allowed=f"a mapping of users to accounts, or a log whose customers are accounts: "
        f"customer_col {show(learned)}",
        hint="add `accounts: {path: …}` to the section `events` (--config), or pass accounts=…",
    )
