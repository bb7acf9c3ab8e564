from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ces_ml.errors import WeightSetError
from ces_ml.events import EventSchema
from ces_ml.spec import CountSpec, OutcomeSpec, Term
from ces_ml.weights import (
    Band,
    GoldenRow,
    IntegerPoints,
    Interval,
    Provenance,
    Recalibration,
    Scale,
    Verdict,
    WeightedTerm,
    WeightSet,
)

Make = Callable[..., WeightSet]
OTHER = {
    "name": "upsell",
    "intercept": -1.25,
    "events": EventSchema(),
    "outcome": OutcomeSpec(task="conversion", event="x", horizon="7d"),
    "rules": (),
    "scale": Scale(method="probability"),
    "bands": (Band(name="all", from_score=0),),
    "provenance": None,
    "points": IntegerPoints(
        values={"login 30d": 3, "login 90d": 1, 'it\'s <b>"bought"</b>; 🎉': -1},
        scale=0.25,
        intercept=-1.5,
        log_loss_given_up=0.001,
        metrics={"roc_auc": 0.7},
    ),
    "account_col": "team",
    "verdict": Verdict(kind="too_few", words="too few positives to tell (17)", rarer=17),
    "calibration": Recalibration(method="platt", slope=0.5),
    "golden_rows": (),
    "terms": (WeightedTerm(name="x", event="x", window="1d", weight=1.0),),
}
OTHER_TERM = {
    "name": "another name",
    "event": "logout",
    "members": ("login", "logout"),
    "measure": "active_days",
    "where": "amount > 100",
    "window": "31d",
    "half_life": "3d",
    "cap_per_day": 2.0,
    "cap": 21.0,
    "per": "day",
    "transform": "sqrt",
    "weight": 0.76,
    "interval": None,
    "evidence": "some",
}
#: Options that only some measures take, with one that does.
OTHER_OPTION = {
    "property": ({"measure": "sum"}, "amount"),
    "neutral": ({"measure": "mean", "property": "stars"}, 3.0),
    "unit": ({"measure": "duration", "property": "took"}, "1min"),
    "until": ({"measure": "duration"}, "logout"),
}
OTHER_PROVENANCE = {
    "data_digest": "x",
    "config_digest": "x",
    "as_of": (),
    "rows": 81,
    "customers": 51,
    "positives": 31,
    "versions": {},
    "metrics": {"roc_auc": 0.76},
}


def test_equal_content_has_an_equal_fingerprint(make_weight_set: Make) -> None:
    assert make_weight_set().fingerprint == make_weight_set().fingerprint
    assert make_weight_set().fingerprint.startswith("sha256:")


def test_noise_in_the_last_bits_does_not_change_the_fingerprint(make_weight_set: Make) -> None:
    noisy = make_weight_set(intercept=-1.5 * (1 + 1e-15))
    assert noisy.fingerprint == make_weight_set().fingerprint


def test_every_field_is_tried_below() -> None:
    assert set(OTHER) == set(WeightSet.model_fields) - {"format", "schema_version"}
    assert {*OTHER_TERM, *OTHER_OPTION} == set(WeightedTerm.model_fields)
    assert set(OTHER_PROVENANCE) == set(Provenance.model_fields)


@pytest.mark.parametrize("field", sorted(OTHER))
def test_another_value_of_any_field_gives_another_fingerprint(
    make_weight_set: Make, field: str
) -> None:
    other = make_weight_set(**{field: OTHER[field]})
    assert other.fingerprint != make_weight_set().fingerprint


@pytest.mark.parametrize("field", sorted(OTHER_TERM))
def test_another_value_in_a_term_gives_another_fingerprint(
    make_weight_set: Make, field: str
) -> None:
    base = make_weight_set(golden_rows=())
    first = WeightedTerm(**{**dict(base.terms[0]), field: OTHER_TERM[field]})
    other = make_weight_set(golden_rows=(), terms=(first, *base.terms[1:]))
    assert other.fingerprint != base.fingerprint


@pytest.mark.parametrize("field", sorted(OTHER_OPTION))
def test_another_option_of_a_measure_gives_another_fingerprint(
    make_weight_set: Make, field: str
) -> None:
    measured, value = OTHER_OPTION[field]
    made = [
        make_weight_set(
            golden_rows=(),
            terms=(WeightedTerm(name="x", event="x", window="7d", weight=1, **measured, **option),),
        )
        for option in ({}, {field: value})
    ]
    assert made[0].fingerprint != made[1].fingerprint
    assert WeightSet.from_json(made[1].to_json()) == made[1]


@pytest.mark.parametrize("field", sorted(OTHER_PROVENANCE))
def test_another_value_in_the_provenance_gives_another_fingerprint(
    make_weight_set: Make, field: str
) -> None:
    base = make_weight_set()
    changed = Provenance(**{**dict(base.provenance), field: OTHER_PROVENANCE[field]})
    assert make_weight_set(provenance=changed).fingerprint != base.fingerprint


def test_the_order_of_terms_is_part_of_the_content(make_weight_set: Make) -> None:
    base = make_weight_set()
    assert make_weight_set(terms=base.terms[::-1]).fingerprint != base.fingerprint


def test_an_optional_key_of_a_later_release_keeps_old_fingerprints(make_weight_set: Make) -> None:
    class Later(WeightSet):
        comment: str | None = None

    base = make_weight_set()
    assert Later(**dict(base)).fingerprint == base.fingerprint
    assert Later(**dict(base), comment="new").fingerprint != base.fingerprint


def test_a_weight_set_is_frozen(weight_set: WeightSet) -> None:
    for record, field in [(weight_set, "intercept"), (weight_set.terms[0], "weight")]:
        with pytest.raises(ValueError, match="frozen"):
            setattr(record, field, 1.0)
    with pytest.raises(TypeError, match="item assignment"):
        weight_set.terms[0] = weight_set.terms[1]  # type: ignore[index]


def test_names_weights_and_spec_follow_the_terms(weight_set: WeightSet) -> None:
    assert weight_set.names == tuple(t.name for t in weight_set.terms) == weight_set.spec.names
    assert list(weight_set.weights.values()) == [0.75, 0.25, -0.125]
    assert type(weight_set.spec.terms[0]) is Term
    assert weight_set.spec.events == ("login", 'it\'s <b>"bought"</b>; 🎉')


@given(st.lists(st.tuples(st.text(max_size=3), st.sampled_from(["7d", "30d"])), min_size=1))
def test_the_spec_of_a_weight_set_is_the_spec_that_it_was_made_from(terms: list) -> None:
    spec = CountSpec(terms=tuple(Term(event=e, window=w) for e, w in terms))
    weight_set = WeightSet(
        name="x",
        terms=tuple(WeightedTerm(**t.model_dump(), weight=1.0) for t in spec.terms),
        intercept=0.0,
        scale=Scale(method="probability"),
        bands=(Band(name="all", from_score=0),),
    )
    assert weight_set.spec == spec


def test_weights_are_kept_to_12_digits() -> None:
    term = WeightedTerm(name="x", event="x", window="7d", weight=1 / 3)
    assert term.weight == 0.333333333333
    assert Interval(low=1 / 3, high=2 / 3, level=0.9).high == 0.666666666667


def fail(make: Make, message: str, **changes: Any) -> None:
    with pytest.raises(WeightSetError, match=message):
        make(**changes)


def test_terms_that_share_a_name_are_refused(make_weight_set: Make) -> None:
    term = WeightedTerm(name="x", event="x", window="7d", weight=1.0)
    fail(make_weight_set, "share a name or have none", terms=(term, term))


def test_a_term_without_a_name_is_refused(make_weight_set: Make) -> None:
    term = WeightedTerm(event="x", window="7d", weight=1.0)
    fail(make_weight_set, "share a name or have none", terms=(term,))


@pytest.mark.parametrize("starts", [(10,), (0, 50, 50), (0, 60, 40)])
def test_bands_that_do_not_cover_the_score_are_refused(make_weight_set: Make, starts) -> None:
    bands = tuple(Band(name=f"b{k}", from_score=s) for k, s in enumerate(starts))
    fail(make_weight_set, "the bands do not cover the score from 0 up", bands=bands)


@pytest.mark.parametrize("field", ["terms", "bands", "name"])
def test_nothing_that_is_needed_may_be_empty(make_weight_set: Make, field: str) -> None:
    fail(make_weight_set, f"{field} has a value", **{field: "" if field == "name" else ()})


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), None, "heavy"])
def test_a_weight_is_a_finite_number(weight: Any) -> None:
    with pytest.raises(WeightSetError, match="weight has a value that is not allowed"):
        WeightedTerm(name="x", event="x", window="7d", weight=weight)


def test_golden_rows_that_hold_pass(weight_set: WeightSet) -> None:
    weight_set.verify()


@pytest.mark.parametrize(
    "change",
    [{"raw_score": -1.9}, {"score": 1.0}, {"band": "advocate"}, {"raw_score": -2.0 + 1e-8}],
)
def test_a_golden_row_that_does_not_hold_is_refused(make_weight_set: Make, change: dict) -> None:
    rows = make_weight_set().golden_rows
    wrong = GoldenRow(**{**dict(rows[1]), **change})
    with pytest.raises(WeightSetError, match=r"golden row 1 gives another score.*\n.*raw -2, sc"):
        make_weight_set(golden_rows=(rows[0], wrong)).verify()


def test_a_golden_row_of_an_unknown_term_is_refused(make_weight_set: Make) -> None:
    row = GoldenRow(counts={"login 30": 1.0}, raw_score=0, score=50, band="potential")
    with pytest.raises(WeightSetError, match=r"'login 30'\n.*did you mean 'login 30d'\?"):
        make_weight_set(golden_rows=(row,)).verify()


def test_numbers_of_numpy_are_taken(make_weight_set: Make) -> None:
    same = make_weight_set(intercept=np.float32(-1.5))
    assert same == make_weight_set()
