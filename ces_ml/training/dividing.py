"""Training rows and held-out rows of a job: the same for every command, here and in Spark."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from ces_ml.evaluation import TimeSplit, split_by_time
from ces_ml.evaluation.splits import choose_start, customers_to_test
from ces_ml.spec.count_table import CountTable
from ces_ml.training.config import TrainingConfig

__all__ = ["divided", "first_held_out", "for_test"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
#: Different moments that are brought here; some 30 bytes each.
MOST_MOMENTS = 1_000_000


def divided(
    config: TrainingConfig, table: CountTable, test_from: datetime | None = None
) -> TimeSplit:
    """Divide the rows of a table as a configuration asks; see `split_by_time`.

    Parameters
    ----------
    config : TrainingConfig
    table : CountTable
    test_from : datetime, optional
        First moment of the held-out rows where the configuration names none, chosen from more rows
        than those of the table.
    """
    named = config.split.test_from
    return split_by_time(
        table,
        config.outcome,
        test_from=test_from if named is None else named,
        test_share=config.split.test_share,
        customers=config.split.customers,
        seed=config.seed,
    )


def first_held_out(rows: Any, config: TrainingConfig) -> datetime | None:
    """Return from when on rows in Spark are held out, by the rule of `split_by_time`.

    Rows are counted by moment, there; nothing else of them comes here.

    Parameters
    ----------
    rows : DataFrame
        With ``customer_id``, ``as_of_us`` and ``y``.
    config : TrainingConfig

    Returns
    -------
    datetime or None
        None where the configuration names the moment, time can't divide the rows, or these have
        more than a million different moments, as they may with `as_of` after an event of each
        customer. A sample then says nearly the same.
    """
    from pyspark.sql import functions as F  # noqa: N812 - what everyone calls it

    if config.split.test_from is not None:
        return None
    shared = config.split.customers == "shared"
    tested = F.lit(True)
    if not shared:
        tested = for_test(config.split.test_share, config.seed)(F.col("customer_id"))
    groups = rows.groupBy("as_of_us", tested.alias("tested"))
    counted = groups.agg(F.count(F.lit(1)).alias("n"), F.sum("y").cast("bigint").alias("good"))
    found = counted.limit(MOST_MOMENTS + 1).toArrow()
    if len(found) > MOST_MOMENTS:
        return None
    moments, n, good = (found[name].to_numpy() for name in ("as_of_us", "n", "good"))
    test = found["tested"].to_numpy().astype(np.bool_)
    train = test if shared else ~test
    reach, share = config.outcome.reach, config.split.test_share
    start = choose_start(moments, n, good, (train, test), reach, share)
    return None if start is None else _EPOCH + timedelta(microseconds=start)


def for_test(share: float, seed: int) -> Callable[[Any], Any]:
    """Return the function of Spark columns that says which customers are held out."""
    from pyspark.sql.functions import pandas_udf

    def chosen(customer: pd.Series) -> pd.Series:
        return pd.Series(customers_to_test(customer, share, seed))

    found: Callable[[Any], Any] = pandas_udf(chosen, "boolean")
    return found
