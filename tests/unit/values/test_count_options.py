"""Options of terms and count rules: what goes together, what is refused, what things are called."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml

from ces_ml.errors import SpecError
from ces_ml.spec import MEASURES, CountRule, CountSpec, Term
from ces_ml.spec.measures import OPTIONS
from ces_ml.spec.words import measured_as
from ces_ml.weights import WeightedTerm

LOG = ("call", "chat", "done", "login", "page:a", "page:b", "page:c", "sold")
VALUES: dict[str, Any] = {
    "property": "amount",
    "neutral": 3.0,
    "unit": "1min",
    "until": "done",
    "half_life": "3d",
    "cap_per_day": 2.0,
    "per": "day",
}
MAKERS = (lambda **o: Term(event="x", window="7d", **o), lambda **o: CountRule(window="7d", **o))


@pytest.mark.parametrize("make", MAKERS, ids=["term", "rule"])
@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize("option", sorted(OPTIONS))
def test_an_option_is_taken_by_the_measures_that_use_it_and_refused_by_the_others(
    make: Any, measure: str, option: str
) -> None:
    needed = {"property": "shop"} if measure == "distinct" else {}
    stated = {**needed, option: VALUES[option]}
    if measure in OPTIONS[option]:
        assert getattr(make(measure=measure, **stated), option) == VALUES[option]
        return
    with pytest.raises(
        SpecError, match=f"measure {measure} does not use {option}\n.*{option}: .*\n.*with measure"
    ) as caught:
        make(measure=measure, **stated)
    assert caught.value.hint == f"remove {option} or change the measure"


@pytest.mark.parametrize("make", MAKERS, ids=["term", "rule"])
@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"measure": "duration", "until": "done", "property": "took"},
         "until and property do not go together: .*measured, not .*\n.*'done', property: 'took'"),
        ({"measure": "duration", "until": "done", "where": "x"},
         "until and where do not go together: .*which event of the pair"),
        ({"cap_per_day": 2, "half_life": "3d"},
         r"cap_per_day and half_life do not go together: .*fade.*\n.*2\.0, half_life: 3d"),
        ({"per": "day", "half_life": "3d"}, "per and half_life do not go together: .*so many days"),
        ({"measure": "distinct"}, "measure distinct does not say what is to differ\n.*no property"),
        ({"where": "amount >"}, "where: the filter can't be read"),
        ({"cap_per_day": 0}, "cap_per_day has a value that is not allowed"),
        ({"measure": "median"}, "measure has a value that is not allowed\n.*'median'\n.*mean"),
        ({"per": "week"}, "per has a value that is not allowed"),
        ({"measure": "duration", "unit": "0s"}, "unit: a length of time of zero"),
    ],
)  # fmt: skip
def test_options_that_do_not_go_together_are_refused(
    make: Any, options: dict[str, Any], match: str
) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        make(**options)
    assert all((caught.value.got, caught.value.allowed, caught.value.hint))


def test_an_event_can_not_end_itself() -> None:
    match = r"an event can't be the end of itself\n.*until: 'x'"
    with pytest.raises(SpecError, match=match):
        Term(event="x", until="x", measure="duration", window="7d")
    with pytest.raises(SpecError, match=match):
        Term(event="f", members=("a", "x"), until="x", measure="duration", window="7d")


@pytest.mark.parametrize(
    ("rule", "match"),
    [
        ({"other": "tail", "window": "7d"}, "names its other events but folds none\n.*'tail'"),
        ({"as": "f", "min_support": 2, "window": "7d"}, "folds its events twice\n.*as: 'f', min_s"),
        ({"window": ["7d", "168h"]}, "a rule names one window twice\n.*7d, 7d"),
        ({"window": []}, "window has a value that is not allowed"),
        ({"min_support": 0, "window": "7d"}, "min_support has a value that is not allowed"),
        ({"as": "", "window": "7d"}, "as has a value that is not allowed"),
        ({"ass": "f", "window": "7d"}, "unknown key in CountRule\n.*'ass'\n.*did you mean 'as'"),
        ({"cap_per_dya": 2, "window": "7d"}, "unknown key.*\n.*\n.*did you mean 'cap_per_day'"),
    ],
)
def test_rules_that_make_no_sense_are_refused(rule: dict[str, Any], match: str) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        CountRule.parse(rule)
    assert all((caught.value.got, caught.value.allowed, caught.value.hint))


def resolve(*rules: dict[str, Any], **options: Any) -> CountSpec:
    return CountSpec.from_rules([CountRule.parse(r) for r in rules], LOG, **options)


def test_several_windows_make_terms_side_by_side() -> None:
    spec = resolve({"events": ["login", "call"], "window": ["7d", "30d", "90d"]})
    assert spec.names == ("call 7d", "call 30d", "call 90d", "login 7d", "login 30d", "login 90d")


def test_a_family_is_one_term_with_its_members_sorted() -> None:
    spec = resolve(
        {"events": ["page:*", "login"], "exclude": "page:b", "as": "see", "window": "7d"}
    )
    (term,) = spec.terms
    assert (term.event, term.members) == ("see", ("login", "page:a", "page:c"))
    assert spec.events == ("login", "page:a", "page:c")
    assert Term(event="f", members=("b", "a", "b"), window="7d").members == ("a", "b")


def test_a_family_leaves_out_the_events_of_the_outcome() -> None:
    (term,) = resolve({"as": "any", "window": "7d"}, exclude=["sold"]).terms
    assert "sold" not in term.members


def test_a_family_of_one_gives_a_filtered_event_its_own_name() -> None:
    rule = {"events": "sold", "where": "amount > 100", "as": "big sale", "window": "7d"}
    spec = resolve({"events": "sold", "window": "7d"}, rule)
    assert spec.names == ("sold", "big sale")


def test_rare_event_types_are_folded_after_exclusions() -> None:
    support = {e: n for n, e in enumerate(LOG)}
    rule = {"exclude": "login", "min_support": 4, "window": ["7d", "9d"]}
    spec = resolve(rule, exclude=["sold"], support=support)
    assert spec.names == (
        "page:a 7d", "page:a 9d", "page:b 7d", "page:b 9d", "page:c 7d", "page:c 9d",
        "other 7d", "other 9d",
    )  # fmt: skip
    assert spec.terms[-1].members == ("call", "chat", "done")


def test_an_event_type_may_be_called_as_a_family_is() -> None:
    spec = CountSpec.from_rules(
        [CountRule(window="7d"), CountRule(events="p*", family="page", window="7d")],
        ["page", "page:a"],
    )
    assert spec.names == ("page", "page:a", "page #2")
    assert [t.counted for t in spec.terms] == [("page",), ("page:a",), ("page", "page:a")]


def test_the_end_of_a_pair_is_no_start_and_must_be_in_the_log() -> None:
    pair = {"measure": "duration", "until": "done", "window": "7d"}
    assert resolve({"events": ["c*", "d*"], **pair}).names == ("call", "chat")
    with pytest.raises(SpecError, match=r"ends a pair is not in the log\n.*'dnoe'\n.*'done'\?"):
        resolve({"events": "call", **pair, "until": "dnoe"})
    with pytest.raises(SpecError, match=r"names an event of the outcome\n.*'done'"):
        resolve({"events": "call", **pair}, exclude=["done"])
    with pytest.raises(SpecError, match="can't be the end of itself"):
        resolve({"events": "done", **pair})


def test_rules_that_differ_in_their_filter_count_different_things() -> None:
    plain = {"events": "sold", "window": "7d"}
    spec = resolve(plain, {**plain, "where": "amount>100"}, {**plain, "where": "amount > 200"})
    assert spec.names == ("sold", "sold where amount > 100", "sold where amount > 200")
    assert resolve({**plain, "where": "amount > 100", "window": ["7d", "9d"]}).names == (
        "sold where amount > 100 7d",
        "sold where amount > 100 9d",
    )
    with pytest.raises(SpecError, match="two count rules count the same"):
        resolve({**plain, "where": "amount > 100"}, {**plain, "where": "amount>100"})


def test_names_tell_every_option_that_differs() -> None:
    common = {"event": "x", "window": "7d"}
    terms = (
        Term(**common, cap_per_day=2),
        Term(**common, per="day"),
        Term(**common, measure="mean", property="stars", neutral=3),
        Term(**common, measure="mean", property="stars"),
        Term(**common, measure="duration", until="y", unit="1min"),
        Term(**common, measure="distinct", property="shop"),
    )
    assert CountSpec(terms=terms).names == (
        "x count 2 a day",
        "x count per day",
        "x mean stars neutral 3",
        "x mean stars",
        "x duration until y in 1min",
        "x distinct shop",
    )


def test_a_card_tells_every_option_of_a_term() -> None:
    term = Term(
        event="views", members=tuple("abcdefg"), measure="mean", property="stars", neutral=3,
        where="not returned", window="7d", half_life="2d", cap=9, transform="sqrt",
    )  # fmt: skip
    assert measured_as(term) == [
        "mean of views in 7d", "events a, b, c, d, e and 2 more", "property stars",
        "where not returned", "neutral 3", "half-life 2d", "cap 9", "sqrt",
    ]  # fmt: skip
    pair = Term(event="in", until="out", measure="duration", window="7d", unit="1min", per="day",
                cap_per_day=8)  # fmt: skip
    assert measured_as(pair) == [
        "duration of in in 7d", "until out", "in units of 1min", "at most 8 a day", "per day",
    ]  # fmt: skip


def test_a_rule_survives_yaml_under_the_keys_that_a_person_writes() -> None:
    rule = CountRule.parse({"events": "page:*", "as": "page", "window": ["7d"], "where": "a=1"})
    text = yaml.safe_dump(rule.model_dump(mode="json", exclude_defaults=True))
    assert "as: page" in text
    assert CountRule.parse(yaml.safe_load(text)) == rule
    assert CountRule(events="page:*", family="page", window="7d", where="a = 1") == rule


def test_a_term_without_new_options_is_written_into_the_fingerprint_as_before() -> None:
    term = WeightedTerm(name="x", event="x", window="7d", weight=1.0)
    assert json.loads(term.model_dump_json(exclude_defaults=True)) == {
        "name": "x", "event": "x", "window": "7d", "weight": 1.0,
    }  # fmt: skip
