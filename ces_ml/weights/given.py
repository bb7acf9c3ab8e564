"""What is given for a weight set is one."""

from __future__ import annotations

from typing import Any

from ces_ml.errors import WeightSetError, show
from ces_ml.weights.weight_set import WeightSet

__all__ = ["check_weight_set"]


def check_weight_set(given: Any) -> None:
    """Refuse what is no weight set, such as the path of one.

    Parameters
    ----------
    given : object

    Raises
    ------
    WeightSetError
        If it is not a `WeightSet`.

    Examples
    --------
    >>> check_weight_set("churn.json")
    Traceback (most recent call last):
    ces_ml.errors.WeightSetError: a weight set is asked for
      got:     'churn.json', a str
      allowed: a WeightSet, as train(…).weight_set and load_weight_set(path) are
      next:    pass load_weight_set('churn.json')
    """
    if isinstance(given, WeightSet):
        return
    path = hasattr(given, "__fspath__") or isinstance(given, str)
    raise WeightSetError(
        "a weight set is asked for",
        got=f"{show(given)}, a {type(given).__name__}",
        allowed="a WeightSet, as train(…).weight_set and load_weight_set(path) are",
        hint=f"pass load_weight_set({show(str(given)) if path else 'path'})",
    )
