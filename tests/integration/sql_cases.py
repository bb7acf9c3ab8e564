"""Weight sets and logs that every SQL dialect is run on, and what the scorer says of them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from ces_ml.events import EventSchema
from ces_ml.features import build_counts
from ces_ml.scoring import Scorer
from ces_ml.spec import CountSpec, Term
from ces_ml.spec.measures import MEASURES, OPTIONS
from ces_ml.weights import Band, GoldenRow, Recalibration, Scale, WeightedTerm, WeightSet
from ces_ml.weights.apply import band_names, raw_scores, scores

DAY = 86_400_000_000
AS_OF = "2024-03-31T00:00:00"
AS_OF_US = 1_711_843_200_000_000
#: Names that mean something to quotes, comments, templates, drivers, shells or collations.
HOSTILE = (
    "it's",
    'say "hi"',
    "'; DROP TABLE events; --",
    "back\\slash\\",
    "\\'; DROP TABLE events; --",
    "two\nlines\ttab",
    "🎉 café",
    "",
    "{{ x }} {% raw %} {# y #}",
    "-- /* comment */",
    "100% %s %(a)s",
    ":name",
    "$1 ${spark.master} @v @@version",
    "?",
    "`tick` [bracket]",
    "Login",
    "login",
    "login ",
    "LOGIN",
    "cafe\u0301",
    "caf\u00e9",
)
CUSTOMERS = ("a", "A", "a ", "b", "it's", "\\", "émile", "emile", "🎉", "007", "7", "--")
WINDOWS = ("1h", "1d", "7d", "30d", "400d")
FILTERS = (
    "value > 2.5 and not returned",
    "shop in ('it''s', 'Web', 'back\\slash') or value is null",
    "shop != 'web'",
    "returned",
    "not (fee >= -1 and fee < 10)",
    "shop is not null and value <= 100",
    "returned = false",
)
SHOPS = ("web", "Web", "web ", "it's", "🎉", "back\\slash", "", None)
SCHEMA = EventSchema(value_col="value")


@dataclass(frozen=True)
class Case:
    """A weight set, the log it is applied to, and how that is read."""

    weight_set: WeightSet
    log: pd.DataFrame

    @cached_property
    def expected(self) -> pd.DataFrame:
        """What the scorer says at `AS_OF`, by customer, with three reasons."""
        table = build_counts(
            self.log, self.weight_set.spec, as_of=AS_OF, schema=self.weight_set.events
        )
        return Scorer(self.weight_set, n_reasons=3).score(table)


def events(rng: np.random.Generator, kinds: tuple[str, ...], n: int) -> pd.DataFrame:
    """A log with ties at the edges of windows and days, nulls, duplicates and late arrivals."""
    edges = [0, -1, 1, -DAY, -DAY - 1, -7 * DAY, -30 * DAY, -30 * DAY + 1, -30 * DAY - 1]
    ages = np.where(rng.random(n) < 0.3, rng.choice(edges, n), -rng.integers(-5 * DAY, 60 * DAY, n))
    at = AS_OF_US + ages
    lag = rng.choice([0, 0, 1, DAY, -DAY], n)
    frame = pd.DataFrame(
        {
            "customer_id": rng.choice(CUSTOMERS, n).astype(object),
            "event_type": np.array([kinds[k] for k in rng.integers(0, len(kinds), n)], object),
            "timestamp": at.astype("datetime64[us]"),
            "value": np.where(rng.random(n) < 0.1, np.nan, rng.integers(-80, 800, n) / 8),
            "fee": rng.integers(-8, 80, n) / 4,
            "shop": np.array([SHOPS[k] for k in rng.integers(0, len(SHOPS), n)], object),
            "returned": pd.array(
                [[True, False, None][k] for k in rng.integers(0, 3, n)], dtype="boolean"
            ),
            "took": rng.integers(0, 90_000, n) / 4,
            "seen_at": (at + lag).astype("datetime64[us]"),
        }
    )
    frame["value"] = frame["value"].astype("Float64").mask(frame["value"].isna())
    frame.loc[rng.random(n) < 0.03, "seen_at"] = pd.NaT
    # Two who are seen at as_of and a microsecond before.
    new = frame.iloc[:2].assign(
        customer_id=["new", "newer"],
        timestamp=np.array([AS_OF_US, AS_OF_US - 1]).astype("datetime64[us]"),
        seen_at=np.array([AS_OF_US, AS_OF_US - 1]).astype("datetime64[us]"),
    )
    return pd.concat([frame, frame.iloc[:3], new], ignore_index=True)


def random_term(rng: np.random.Generator, kinds: tuple[str, ...], measure: str, k: int) -> Term:
    """A term of a measure with options that go together."""

    def maybe(*values: Any) -> Any:
        return values[rng.integers(0, len(values))] if rng.random() < 0.5 else None

    event = str(kinds[rng.integers(0, len(kinds))])
    members = ()
    if rng.random() < 0.3:
        members = (event, str(kinds[rng.integers(0, len(kinds))]), "never seen")
    options: dict[str, Any] = {
        "half_life": maybe("1s", "6h", "5d"),
        "cap_per_day": maybe(1.0, 2.5),
        "per": maybe("day"),
        "neutral": maybe(0.125, -3.0, 20.0),
        "unit": maybe("1s", "1min", "36h"),
    }
    options = {o: v for o, v in options.items() if v is not None and measure in OPTIONS[o]}
    if "half_life" in options:
        options.pop("cap_per_day", None), options.pop("per", None)
    ends = [e for e in kinds if e != event and e not in members]
    if measure == "duration" and ends and rng.random() < 0.6:
        options["until"] = str(ends[rng.integers(0, len(ends))])
    else:
        options["where"] = maybe(*FILTERS)
        if measure in ("sum", "mean"):
            options["property"] = maybe("fee")
        elif measure == "duration":
            options["property"] = "took"
        elif measure == "distinct":
            options["property"] = ("shop", "fee", "returned")[rng.integers(0, 3)]
    return Term(
        name=f"{event} {k}" if rng.random() < 0.5 else f"term {k}",
        event="a family" if members else event,
        members=members,
        measure=measure,
        window=WINDOWS[rng.integers(0, len(WINDOWS))],
        cap=maybe(1.0, 2.5, 40.0),
        transform=("identity", "log1p", "sqrt")[rng.integers(0, 3)],
        **options,
    )


def weigh(
    rng: np.random.Generator, terms: tuple[Term, ...], schema: EventSchema = SCHEMA
) -> WeightSet:
    """A weight set of terms with every kind of scale and calibration, and golden rows."""
    spec = CountSpec(terms=terms)
    scale = (
        Scale(knots=((-2.0, 0.0), (-0.5, 20.0), (0.25, 60.0), (3.0, 100.0))),
        Scale(method="min_max", knots=((-3.0, 0.0), (7.0, 100.0))),
        Scale(method="probability"),
        Scale(method="min_max", knots=((0.0, 50.0),)),
    )[rng.integers(0, 4)]
    calibration = (
        None,
        Recalibration(method="platt", slope=0.7, intercept=0.2),
        Recalibration(method="isotonic", knots=((-2.0, 0.1), (0.0, 0.4), (1.5, 0.9))),
    )[rng.integers(0, 3)]
    weighted = tuple(
        WeightedTerm(**t.model_dump(), weight=float(rng.normal() * 0.2)) for t in spec.terms
    )
    bare = WeightSet(
        name="it's {{ a test }} */ --\nDROP",
        terms=weighted,
        intercept=-0.3,
        events=schema,
        scale=scale,
        calibration=calibration,
        bands=(
            Band(name="at risk; '--", from_score=0),
            Band(name="{{ so }} so", from_score=30.5),
            Band(name="🎉", from_score=66.25),
        ),
    )
    n = rng.integers(0, 40, (4, len(terms))) * rng.choice([1.0, 0.25, -0.5], (4, len(terms)))
    raw = raw_scores(bare, n)
    score = scores(bare, raw)
    golden = tuple(
        GoldenRow(
            counts=dict(zip(bare.names, map(float, row), strict=True)),
            raw_score=float(raw[k]),
            score=float(score[k]),
            band=str(band_names(bare, score)[k]),
        )
        for k, row in enumerate(n)
    )
    return bare.model_copy(update={"golden_rows": golden})


def random_case(seed: int, schema: EventSchema = SCHEMA) -> Case:
    """A log and a weight set with every measure once or twice."""
    rng = np.random.default_rng(seed)
    kinds = tuple(HOSTILE[k] for k in rng.permutation(len(HOSTILE))[:6])
    measures = [*MEASURES, *rng.choice(MEASURES, 4)]
    terms = tuple(random_term(rng, kinds, str(m), k) for k, m in enumerate(measures))
    return Case(weigh(rng, terms, schema), events(rng, kinds, 400))


def hostile_case() -> Case:
    """Every hostile name counted for itself."""
    rng = np.random.default_rng(0)
    terms = tuple(Term(event=name, window="30d") for name in HOSTILE)
    return Case(weigh(rng, terms), events(rng, HOSTILE, 600))
