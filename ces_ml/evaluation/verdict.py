"""Do the weights beat counting? The judgement behind the verdict."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ces_ml.errors import SpecError, show
from ces_ml.evaluation.baselines import COUNTING
from ces_ml.evaluation.paired import Difference
from ces_ml.weights import Verdict

__all__ = ["LEAST_CUSTOMERS", "reach_verdict"]

#: With fewer held-out customers of the rarer outcome no verdict is given: the standard error of an
#: AUC of 0.75 is then above 0.05 (Hanley, McNeil 1982, DOI 10.1148/radiology.143.1.7063747), and a
#: verdict would rest on a handful of people. Intervals hold up below it: see experiments/verdicts.
LEAST_CUSTOMERS = 30

#: Scores that do not take part in the verdict, but are told of where they do better: what would
#: have been cheaper.
SIMPLER = {
    "univariate_lift": "weights learned one event at a time do",
    "hand_set": "the hand-set weights do",
}


def reach_verdict(
    y: NDArray[Any],
    customers: NDArray[Any],
    differences: Sequence[Difference],
    *,
    reversed_scores: Collection[str] = (),
) -> Verdict:
    """Return whether the weights beat the best way of counting.

    The weights must beat the total count, the decayed count and equal weights with the stated
    signs, each with the whole interval of the gain in ROC AUC above 0; what is told is the
    comparison with the one that is hardest to beat, *on the rows that judge*. And the log loss
    must not be higher than there. Both favour counting a little, so a verdict for the weights is on
    the safe side: experiments/verdicts measures how rarely one is given for outcomes that have
    nothing to do with the events. Where weights learned one event at a time, or hand-set ones, do
    better with the whole interval, the words say so.

    Parameters
    ----------
    y : ndarray of shape (n_rows,)
        Outcomes of the held-out rows.
    customers : ndarray of shape (n_rows,)
        Who they are about.
    differences : sequence of Difference
        Of the weights and other scores on these rows; at least one of a baseline that counts.
    reversed_scores : collection of str, optional
        Scores of which fewer is better, and which were turned round before they were compared.

    Returns
    -------
    Verdict

    Raises
    ------
    SpecError
        If no baseline that counts was compared.

    Examples
    --------
    >>> y = np.arange(200) % 2
    >>> gain = Difference("total_count", "roc_auc", 0.062, 0.041, 0.084, 0.9)
    >>> reach_verdict(y, np.arange(200), [gain]).words
    'beats counting by 0.06 AUC (90 % interval 0.04 to 0.08)'
    """
    bars = [d for d in differences if d.against in COUNTING and d.metric == "roc_auc"]
    if not bars:
        raise SpecError(
            "there is no verdict without a score that counts",
            got=show(sorted({d.against for d in differences})),
            allowed=f"one of {', '.join(COUNTING)}, in roc_auc",
            hint="compare with the scores of `baseline_scores`",
        )
    bar = min(bars, key=lambda d: d.low if np.isfinite(d.low) else -np.inf)
    who = np.asarray(customers).astype(str)
    good, bad = (np.unique(who[np.asarray(y) == k]).size for k in (1, 0))
    rarer = min(good, bad)
    if rarer < LEAST_CUSTOMERS or not np.isfinite([bar.low, bar.high]).all():
        which = "positives" if good <= bad else "negatives"
        words = f"too few {which} to tell ({rarer})"
        return Verdict(
            kind="too_few", words=words, against=bar.against, level=bar.level, rarer=rarer
        )
    losses = [d.value for d in differences if d.against == bar.against and d.metric == "log_loss"]
    lost = max([0.0, *losses])
    kind = "worse" if bar.high < 0 else "no_better" if bar.low <= 0 or lost > 0 else "better"
    return Verdict(
        kind=kind,
        words=_in_words(bar, lost) + _simpler(differences),
        against=bar.against,
        reversed=bar.against in reversed_scores,
        difference=bar.value,
        low=bar.low,
        high=bar.high,
        level=bar.level,
        rarer=rarer,
    )


def _in_words(bar: Difference, lost: float) -> str:
    digits = 2 if bar.high - bar.low >= 0.03 else 3
    value, low, high = (_shown(v, digits) for v in (bar.value, bar.low, bar.high))
    between = f"{bar.level:.0%} interval {low} to {high}".replace("%", " %")
    if bar.high < 0:
        return f"no better than counting: worse by {_shown(-bar.value, digits)} AUC ({between})"
    if bar.low <= 0:
        return f"no better than counting ({value} AUC, {between})"
    if lost > 0:
        return (
            f"no better than counting: a gain of {value} AUC ({between}), but log loss rises by "
            f"{lost:.2g}"
        )
    return f"beats counting by {value} AUC ({between})"


def _simpler(differences: Sequence[Difference]) -> str:
    """Return which weights that nobody had to learn together do better, for certain."""
    parts = []
    for d in differences:
        if d.metric == "roc_auc" and d.against in SIMPLER and d.high < 0:
            digits = 2 if d.high - d.low >= 0.03 else 3
            gain, low, high = (_shown(-v, digits) for v in (d.value, d.high, d.low))
            parts.append(f"{SIMPLER[d.against]} better by {gain} AUC ({low} to {high})")
    return f"; but {' and '.join(parts)}" if parts else ""


def _shown(value: float, digits: int) -> str:
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")
