"""How an event type becomes a number: measures, transforms and terms."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BeforeValidator, Field

from ces_ml.errors import SpecError, show
from ces_ml.spec.duration import Duration
from ces_ml.spec.model import SpecModel

__all__ = ["MEASURES", "TRANSFORMS", "Measure", "Term", "Transform", "Window", "saturate"]

#: How the events of one type inside the window become one number.
#: ``count``: how many. ``sum``: the total of a value column. ``active_days``: on how many
#: different UTC days.
Measure = Literal["count", "sum", "active_days"]
Transform = Literal["identity", "log1p", "sqrt"]
MEASURES: tuple[str, ...] = get_args(Measure)


def _signed_log1p(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(n) * np.log1p(np.abs(n)), dtype=np.float64)


def _signed_sqrt(n: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.sign(n) * np.sqrt(np.abs(n)), dtype=np.float64)


#: Every transform is odd and maps 0 to 0, so that absent events stay 0 and a sum that is
#: negative (refunds) keeps its sign.
TRANSFORMS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "identity": lambda n: n,
    "log1p": _signed_log1p,
    "sqrt": _signed_sqrt,
}


def _positive(value: Any) -> Duration:
    window = Duration(value)
    if window.us == 0:
        raise SpecError(
            "a length of time of zero holds no events",
            got=show(value),
            allowed="a positive duration such as 90d",
            hint="correct the duration",
        )
    return window


Window = Annotated[Duration, BeforeValidator(_positive)]


class Term(SpecModel):
    """One number about a customer: an event type, measured over a window, capped, transformed.

    The count of a term as of a moment is taken over events in ``[as_of − window, as_of)``;
    ``g(n) = transform(min(n, cap))`` enters the score.

    Parameters
    ----------
    event : str
        The event type. Any text.
    measure : {"count", "sum", "active_days"}, default="count"
        How the events become a number.
    property : str, optional
        The column that ``sum`` adds up; the `value_col` of the `EventSchema` when not given.
    window : Duration
        How far back events count, for example ``"90d"``.
    half_life : Duration, optional
        With it an event of age *a* counts ``2^(−a/half_life)`` instead of 1. Not for
        ``active_days``.
    cap : float, optional
        Counts above it are cut to it (below ``−cap`` for negative sums).
    transform : {"identity", "log1p", "sqrt"}, default="identity"
        Applied after the cap; ``sign(n)·f(|n|)`` where a sum is negative.
    name : str, default=""
        What the term is called in rules and tables. `CountSpec` fills it in.

    Examples
    --------
    >>> Term(event="login", window="30d", transform="log1p").measure
    'count'
    """

    name: str = ""
    event: str
    measure: Measure = "count"
    property: str | None = Field(default=None, min_length=1)
    window: Window
    half_life: Window | None = None
    cap: float | None = Field(default=None, gt=0)
    transform: Transform = "identity"

    def model_post_init(self, context: object) -> None:
        """Refuse options that the measure can't use."""
        if self.property is not None and self.measure != "sum":
            raise SpecError(
                f"measure {self.measure} does not use a property",
                got=f"property: {show(self.property)}",
                allowed="property with measure: sum",
                hint="remove the property or change the measure",
            )
        if self.half_life is not None and self.measure == "active_days":
            raise SpecError(
                "active days do not decay",
                got=f"half_life: {self.half_life}",
                allowed="half_life with measure: count or sum",
                hint="remove the half_life or change the measure",
            )


def saturate(n: NDArray[np.float64], cap: float | None, transform: str) -> NDArray[np.float64]:
    """Return ``g(n)``: the counts after cap and transform.

    Parameters
    ----------
    n : ndarray of float
        Counts.
    cap : float or None
        Largest magnitude kept.
    transform : str
        A key of `TRANSFORMS`.

    Examples
    --------
    >>> saturate(np.array([0.0, 3.0, 99.0]), cap=8, transform="log1p").round(3).tolist()
    [0.0, 1.386, 2.197]
    """
    if cap is not None:
        n = np.clip(n, -cap, cap)
    return TRANSFORMS[transform](n)


def unique_names(terms: Iterable[Term]) -> list[str]:
    """Return one name a term: the event type where that is enough, else with what differs.

    Names that are given stay as they are; of several equal ones the first does. Whatever still
    collides gets the first free number. Naming named terms changes nothing.
    """
    terms = list(terms)
    names = [t.name or t.event for t in terms]
    by_name: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        by_name.setdefault(name, []).append(k)
    parts = ("measure", "property", "window", "half_life", "cap", "transform")
    for name, places in by_name.items():
        if len(places) == 1:
            continue
        differing = [p for p in parts if len({getattr(terms[k], p) for k in places}) > 1]
        for k in places:
            if not terms[k].name:
                words = [str(getattr(terms[k], p)) for p in differing if getattr(terms[k], p)]
                names[k] = " ".join([name, *words])
    given = {t.name for t in terms if t.name}
    wished, used = set(names), set[str]()
    for k, name in enumerate(names):
        kept = terms[k].name or name not in given
        if kept and name not in used:
            used.add(name)
            continue
        number = 2
        while f"{name} #{number}" in wished | used:
            number += 1
        names[k] = f"{name} #{number}"
        used.add(names[k])
    return names
