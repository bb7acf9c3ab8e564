"""Random weight sets and counts for them, as any training job could have left them."""

from __future__ import annotations

from hypothesis import strategies as st

from ces_ml.spec import CountSpec
from ces_ml.weights import Band, Recalibration, Scale, WeightedTerm, WeightSet

HOSTILE = (
    "",
    " ",
    "login",
    "it's",
    'say "hi"',
    '"""',
    "'''",
    "a; DROP TABLE events; --",
    "line\nbreak\r\ttab",
    "</script><script>alert(1)</script>",
    "<!-- ]]> &amp; &lt; <!ENTITY x>",
    "back\\slash\\",
    "\\u0000",
    "{{ template }} %s {0} ${x} `x`",
    "null\x00byte \x1b[31m \x7f \ufffe",
    "🎉 ünïcode \u202e \u2028\u2029 日本",
    "__proto__",
    "constructor",
    "__MODEL__",
    "a.b",
    "x" * 3000,
)

numbers = st.integers(-4000, 4000).map(lambda k: k / 512)


@st.composite
def weight_sets(draw: st.DrawFn) -> WeightSet:
    names = draw(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6, unique=True))
    terms = []
    for term in CountSpec.of(names, window="30d").terms:
        changes = {
            "cap": draw(st.sampled_from([None, 0.5, 3.0, 20.0])),
            "transform": draw(st.sampled_from(["identity", "log1p", "sqrt"])),
            "weight": draw(st.sampled_from([0.0, 1e-300, 1 / 3, -0.1, 2.5]) | numbers),
        }
        terms.append(WeightedTerm(**{**term.model_dump(), **changes}))
    starts = sorted({0.0, *draw(st.lists(st.integers(1, 1000).map(lambda k: k / 10), max_size=4))})
    bands = [
        Band(name=draw(st.sampled_from(HOSTILE[1:])) + str(k), from_score=s)
        for k, s in enumerate(starts)
    ]
    return WeightSet(
        name=draw(st.sampled_from(HOSTILE[1:])),
        terms=tuple(terms),
        intercept=draw(numbers),
        scale=draw(scales()),
        calibration=draw(calibrations()),
        bands=tuple(bands),
    )


@st.composite
def rising(draw: st.DrawFn, low: float, high: float) -> tuple[tuple[float, float], ...]:
    """Knots of a rising map: steps of at least 1/64 to the right."""
    at = sorted(draw(st.sets(st.integers(-300, 300), min_size=1, max_size=8)))
    size = len(at)
    height = sorted(draw(st.lists(st.integers(0, 1000), min_size=size, max_size=size)))
    return tuple((a / 64, low + (high - low) * h / 1000) for a, h in zip(at, height, strict=True))


@st.composite
def scales(draw: st.DrawFn) -> Scale:
    method = draw(st.sampled_from(["quantiles", "min_max", "probability"]))
    return Scale(method=method, knots=() if method == "probability" else draw(rising(0, 100)))


@st.composite
def calibrations(draw: st.DrawFn) -> Recalibration | None:
    method = draw(st.sampled_from([None, "platt", "isotonic"]))
    if method is None:
        return None
    if method == "isotonic":
        return Recalibration(method=method, knots=draw(rising(0, 1)))
    slope = draw(st.integers(0, 300)) / 100
    return Recalibration(method=method, slope=slope, intercept=draw(numbers))


def counts(weight_set: WeightSet) -> st.SearchStrategy[list[dict[str, float]]]:
    number = st.integers(0, 60).map(float) | numbers | st.sampled_from([-0.0, 1e-12, 1e5, -1e5])
    row = st.dictionaries(st.sampled_from(weight_set.names), number)
    return st.lists(row, min_size=1, max_size=4)
