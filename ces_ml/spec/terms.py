"""How an event type becomes a number: measures, transforms and terms."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, field_validator

from ces_ml.errors import SpecError, show
from ces_ml.spec.duration import Duration
from ces_ml.spec.measures import Measure, Rate, check_options, is_default
from ces_ml.spec.model import SpecModel
from ces_ml.spec.where import parse_where

__all__ = ["TRANSFORMS", "Filter", "Term", "Transform", "Window", "saturate", "unique_names"]

Transform = Literal["identity", "log1p", "sqrt"]


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
#: A filter on properties, in its canonical text.
Filter = Annotated[str, AfterValidator(lambda text: str(parse_where(text)))]


class Term(SpecModel):
    """One number about a customer: events of a type, measured over a window, capped, transformed.

    The count of a term as of a moment is taken over events in ``[as_of − window, as_of)``;
    ``g(n) = transform(min(n, cap))`` enters the score. No event is 0, whatever the measure.

    Parameters
    ----------
    event : str
        The event type, or what `members` are called together. Any text.
    members : tuple of str, optional
        Event types that are counted as one, by their exact names; `event` alone when not given.
    measure : {"count", "sum", "mean", "duration", "active_days", "distinct"}, default="count"
        How the events become a number; see `ces_ml.spec.measures`.
    property : str, optional
        The column that ``sum``, ``mean`` and ``duration`` read (the `value_col` of the
        `EventSchema` when not given), or whose different values ``distinct`` counts. A duration
        is an interval or a number of seconds.
    until : str, optional
        With ``duration``: the event type that ends what `event` starts. A start is paired with
        the customer's next end, if no other start lies between; the pair counts at its end, with
        its whole length. Starts without an end are not counted.
    unit : Duration, optional
        The unit of ``duration``; ``"1h"`` when not given.
    neutral : float, default=0
        The value that a ``mean`` is less of: the count is ``mean − neutral``. With a half-life the
        mean is weighted; events older than about 900 half-lives have no weight left, and where
        nothing else is there the mean is neutral.
    where : str, optional
        A filter on properties, such as ``"amount > 100 and not returned"``; see
        `ces_ml.spec.where.parse_where`. Kept in its canonical form.
    window : Duration
        How far back events count, for example ``"90d"``.
    half_life : Duration, optional
        With it an event of age *a* counts ``2^(−a/half_life)`` instead of 1.
    cap_per_day : float, optional
        What the events of one UTC day add is cut to it (and to ``−cap_per_day``).
    cap : float, optional
        Counts above it are cut to it (below ``−cap`` for negative sums).
    per : {"day", "seat"}, optional
        ``"day"``: the count is divided by the days on which it could have grown, the time since
        the customer's first known event, at least 1 day and at most the window. ``"seat"``, where
        users roll up to accounts: by the users who belonged to the account at some time in the
        window. Before `cap`.
    transform : {"identity", "log1p", "sqrt"}, default="identity"
        Applied after the cap; ``sign(n)·f(|n|)`` where a count is negative.
    name : str, default=""
        What the term is called in rules and tables. `CountSpec` fills it in.

    Raises
    ------
    SpecError
        If the measure can't use an option, or two options exclude each other.

    Examples
    --------
    >>> Term(event="login", window="30d", transform="log1p").measure
    'count'
    >>> Term(event="purchase", where="amount>100", window="30d").where
    'amount > 100'
    """

    name: str = ""
    event: str
    members: tuple[str, ...] = ()
    measure: Measure = "count"
    property: str | None = Field(default=None, min_length=1)
    until: str | None = None
    unit: Window | None = None
    neutral: float = 0.0
    where: Filter | None = None
    window: Window
    half_life: Window | None = None
    cap_per_day: float | None = Field(default=None, gt=0)
    cap: float | None = Field(default=None, gt=0)
    per: Rate | None = None
    transform: Transform = "identity"

    @field_validator("members")
    @classmethod
    def _once(cls, members: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(members)))

    def model_post_init(self, context: object) -> None:
        """Refuse options that the measure can't use."""
        check_options(self)
        if self.until in self.counted:
            raise SpecError(
                "an event can't be the end of itself",
                got=f"until: {show(self.until)}",
                allowed="another event type than those that start",
                hint="name the event that ends it in `until`",
            )

    @builtins.property  # `property` is a field here
    def counted(self) -> tuple[str, ...]:
        """Event types that are counted, by their exact names."""
        return self.members or (self.event,)


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


#: What tells two terms of one event apart, and how a name says it.
_PARTS = {
    "measure": "{}",
    "property": "{}",
    "until": "until {}",
    "where": "where {}",
    "window": "{}",
    "half_life": "{}",
    "cap": "{}",
    "cap_per_day": "{:g} a day",
    "per": "per {}",
    "neutral": "neutral {:g}",
    "unit": "in {}",
    "transform": "{}",
}


def _stated(term: Term, part: str) -> Any:
    value = getattr(term, part)
    return None if is_default(part, value) else value


def _bare_name(term: Term) -> str:
    if term.where is None or term.members:
        return term.event
    return f"{term.event} where {term.where}"


def unique_names(terms: Iterable[Term]) -> list[str]:
    """Return one name a term: the event type where that is enough, else with what differs.

    A filter is always told, unless the events have been given a name of their own by `members`.

    Names that are given stay as they are; of several equal ones the first does. Whatever still
    collides gets the first free number. Naming named terms changes nothing.
    """
    terms = list(terms)
    names = [t.name or _bare_name(t) for t in terms]
    by_name: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        by_name.setdefault(name, []).append(k)
    for places in by_name.values():
        if len(places) == 1:
            continue
        differing = [p for p in _PARTS if len({getattr(terms[k], p) for k in places}) > 1]
        for k in places:
            if not terms[k].name:
                words = [_PARTS[p].format(v) for p in differing if (v := _stated(terms[k], p))]
                names[k] = " ".join([names[k], *words])
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
