from __future__ import annotations

import pytest

from ces_ml.errors import SpecError
from ces_ml.events import EventSchema


@pytest.mark.parametrize(
    "columns",
    [
        {"customer_col": "event_type"},
        {"timestamp_col": "customer_id"},
        {"event_col": "x", "timestamp_col": "x"},
    ],
)
def test_one_column_in_two_roles_is_refused(columns: dict) -> None:
    with pytest.raises(SpecError, match="one column is given two roles"):
        EventSchema(**columns)


def test_the_customer_column_leaves_the_name_as_of_free() -> None:
    with pytest.raises(SpecError, match="can't be called as_of"):
        EventSchema(customer_col="as_of")


@pytest.mark.parametrize("key", list(EventSchema.model_fields))
def test_no_column_is_named_by_empty_text(key: str) -> None:
    with pytest.raises(SpecError, match=f"{key} has a value that is not allowed"):
        EventSchema.parse({key: ""})


def test_a_misspelt_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(SpecError, match=r"'customer_column'\n.*mean 'customer_col'\?"):
        EventSchema.parse({"customer_column": "user"})
