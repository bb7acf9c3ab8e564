"""The parameters of the estimator: their ranges, and the penalty and names that they state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral, Real
from typing import Any

import numpy as np

from ces_ml.errors import SpecError, did_you_mean, show
from ces_ml.linear.penalties import ElasticNet, Penalties, Penalty, Prior

__all__ = ["check_parameters", "check_whole", "read_feature_names", "read_penalty"]


def check_parameters(estimator: Any) -> None:
    """Refuse numbers out of their range.

    Raises
    ------
    SpecError
        For the first parameter that is not a number in its range.
    """
    for name, value, kind, low, high, example in (
        ("alpha", estimator.alpha, Real, 0, np.inf, "1e-4"),
        ("l1_ratio", estimator.l1_ratio, Real, 0, 1, "0.5"),
        ("prior_strength", estimator.prior_strength, Real, 0, np.inf, "0.01"),
        ("tol", estimator.tol, Real, 0, np.inf, "1e-8"),
        ("max_iter", estimator.max_iter, Integral, 1, np.inf, "100"),
    ):
        number: Any = value
        right = isinstance(number, kind) and not isinstance(number, bool)
        if not right or not low <= number <= high or number == np.inf:
            what = "whole" if kind is Integral else "finite"
            most = "" if high == np.inf else f", at most {high}"
            raise SpecError(
                f"{name} is out of its range",
                got=show(value),
                allowed=f"a {what} number, at least {low}{most}",
                hint=f"for example {name}={example}",
            )


def check_whole(what: str, value: Any, *, least: int, example: str) -> None:
    """Refuse what is no whole number of at least `least`.

    Raises
    ------
    SpecError
        Says `what` the number is, and gives the example.
    """
    whole = not isinstance(value, bool) and isinstance(value, Integral)
    if not whole or value < least:
        raise SpecError(
            f"{what} is not a whole number of at least {least}",
            got=show(value),
            allowed=f"{least}, {least + 1}, {least + 2}, …",
            hint=f"write for example {example}",
        )


def read_penalty(estimator: Any, names: tuple[str, ...]) -> Penalty:
    """Return the penalty that the parameters state, on features of these names.

    Raises
    ------
    SpecError
        If the prior is not finite numbers by feature.
    """
    net = ElasticNet(float(estimator.alpha), float(estimator.l1_ratio))
    if estimator.prior is None:
        return net
    if not isinstance(estimator.prior, Mapping) or not estimator.prior:
        raise SpecError(
            "prior is not a mapping of hand-set weights",
            got=show(estimator.prior),
            allowed="None, or weights by feature",
            hint="write for example prior={'login': 1, 'purchase': 5}",
        )
    weights = np.full(len(names), np.nan)
    hand_set: Mapping[Any, Any] = estimator.prior
    for name, value in hand_set.items():
        if name not in names:
            raise SpecError(
                "prior names a feature that is not there",
                got=show(name),
                allowed=did_you_mean(str(name), names),
                hint="correct the name, or leave it out of the prior",
            )
        if isinstance(value, bool) or not isinstance(value, Real) or not np.isfinite(float(value)):
            raise SpecError(
                f"the prior weight of {show(name)} is not a finite number",
                got=show(value),
                allowed="a number such as 2.5; only the proportions of the weights matter",
                hint="correct the number, or leave the feature out of the prior",
            )
        weights[names.index(name)] = float(value)
    return Penalties((net, Prior(float(estimator.prior_strength), weights)))


def read_feature_names(
    given: Sequence[str] | None, columns: Sequence[str] | None, p: int
) -> tuple[str, ...]:
    """Return what rules call the `p` columns: their names in the data frame, or those given.

    Raises
    ------
    SpecError
        If the given names do not fit the columns, or contradict those of the data frame.
    """
    if given is None:
        return tuple(columns) if columns is not None else tuple(f"x{j}" for j in range(p))
    names = tuple(given)
    if isinstance(given, str) or not all(isinstance(name, str) for name in names):
        raise SpecError(
            "feature_names is not a sequence of texts",
            got=show(given),
            allowed=f"{p} names",
            hint="give one name for each column of X",
        )
    if len(names) != p:
        raise SpecError(
            "feature_names does not fit the number of columns of X",
            got=f"{len(names)} names",
            allowed=f"{p} names",
            hint="give one name for each column of X",
        )
    if columns is not None and names != tuple(columns):
        raise SpecError(
            "feature_names contradicts the column names of the data frame",
            got=show(names),
            allowed=show(tuple(columns)),
            hint="leave feature_names out: the rules use the column names",
        )
    return names
