"""Fitting the map from log-odds to probability on rows that the weights did not learn from."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.isotonic import IsotonicRegression

from ces_ml.errors import CesWarning, EventLogError, SpecError
from ces_ml.evaluation.reliability import cox_line
from ces_ml.weights import Recalibration
from ces_ml.weights.scale import KNOT_DIGITS, tidy

__all__ = ["RECALIBRATIONS", "recalibrate"]

#: Every way to recalibrate, and what it is.
RECALIBRATIONS: dict[str, str] = {
    "platt": "a line in the log-odds: two numbers, enough for weights that are too bold or too shy",
    "isotonic": "any map that does not fall: follows a bend, but takes thousands of rows to do so",
}


def recalibrate(
    method: str,
    y: NDArray[Any],
    z: NDArray[np.float64],
    sample_weight: NDArray[np.float64] | None = None,
) -> Recalibration | None:
    """Fit a monotone map from log-odds to the probability of the good outcome.

    Platt's slope is not allowed below 0: where the held-out rows speak against the score, everyone
    gets the outcome rate. The isotonic map is that of `sklearn.isotonic.IsotonicRegression`, kept
    ``1/(2n + 2)`` away from 0 and 1: n rows can't show more, and a log loss can't bear it.

    Parameters
    ----------
    method : {"platt", "isotonic"}
        See `RECALIBRATIONS`.
    y : ndarray of shape (n_rows,)
        Outcomes, 0 or 1, of rows that neither fitted the weights nor are reported on.
    z : ndarray of shape (n_rows,)
        Raw score plus intercept.
    sample_weight : ndarray of shape (n_rows,), optional

    Returns
    -------
    Recalibration or None
        None where Platt's line does not exist.

    Raises
    ------
    SpecError
        If there is no such method.
    EventLogError
        If only one outcome occurs.

    Warns
    -----
    CesWarning
        If Platt's slope is negative, or there is no line.

    References
    ----------
    Platt, J. (1999). Probabilistic outputs for support vector machines. Zadrozny, B. and
    Elkan, C. (2002). Transforming classifier scores into accurate multiclass probability
    estimates. doi:10.1145/775047.775151

    Examples
    --------
    >>> y, z = np.array([0, 1, 0, 1, 1, 0]), np.array([-1.0, -1.0, -1.0, 1.0, 1.0, 1.0])
    >>> round(recalibrate("platt", y, z).slope, 4)
    0.6931
    """
    if method not in RECALIBRATIONS:
        raise SpecError.unknown(
            "scores can't be recalibrated so", method, RECALIBRATIONS, hint="correct `calibrate`"
        )
    good = int((np.asarray(y) == 1).sum())
    if good in (0, len(z)):
        raise EventLogError(
            "a score can't be recalibrated when only one outcome occurs",
            got=f"{good} good and {len(z) - good} bad outcomes",
            allowed="some of both",
            hint="train on more rows, or leave `calibrate` out",
        )
    # Rounded first: a weight set keeps as many digits, and then its knots rise strictly.
    z = np.array([tidy(v, KNOT_DIGITS) for v in np.asarray(z, dtype=np.float64)])
    return _platt(y, z, sample_weight) if method == "platt" else _isotonic(y, z, sample_weight)


def _platt(
    y: NDArray[Any], z: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> Recalibration | None:
    line = cox_line(y, z, weight)
    if math.isnan(line.slope):
        warnings.warn(
            f"Platt's line can't be fitted: on {len(z):,} held-out rows the score is constant or "
            "separates the outcomes; probabilities stay as they are",
            CesWarning,
            stacklevel=3,
        )
        return None
    if line.slope < 0:
        rate = float(np.average(y, weights=weight))
        warnings.warn(
            f"on {len(z):,} held-out rows a high score means a bad outcome (Platt's slope is "
            f"{line.slope:.3f}): everyone gets the outcome rate, {rate:.3f}",
            CesWarning,
            stacklevel=3,
        )
        return Recalibration(method="platt", slope=0.0, intercept=math.log(rate / (1 - rate)))
    return Recalibration(
        method="platt",
        slope=tidy(line.slope, KNOT_DIGITS),
        intercept=tidy(line.intercept, KNOT_DIGITS),
    )


def _isotonic(
    y: NDArray[Any], z: NDArray[np.float64], weight: NDArray[np.float64] | None
) -> Recalibration:
    edge = 0.5 / (len(z) + 1)
    model = IsotonicRegression(y_min=edge, y_max=1.0 - edge, out_of_bounds="clip")
    model.fit(z, np.asarray(y, dtype=np.float64), sample_weight=weight)
    at = model.X_thresholds_.tolist()
    height = [tidy(p, KNOT_DIGITS) for p in model.y_thresholds_]
    return Recalibration(method="isotonic", knots=tuple(zip(at, height, strict=True)))
