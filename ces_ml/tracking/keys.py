"""Names that MLflow accepts, made from names that may hold anything."""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Iterable

__all__ = ["MAX_KEY", "legal_key", "metric_keys", "model_label"]

#: Longest key of a metric, parameter or tag.
MAX_KEY = 250
_HASHED = re.compile(r"-[0-9a-f]{8}")


def metric_keys(names: Iterable[str], prefix: str = "weight/") -> dict[str, str]:
    """Return one legal MLflow key for every name.

    A name of letters, digits, spaces and ``_ . -`` is kept. In any other name each run of other
    characters becomes ``_`` and a piece of the name's hash is added, so that different names get
    different keys. The key of a name does not depend on the other names, so runs with different
    terms stay comparable. ``/`` is not kept: MLflow's charts group by what stands before it.

    Parameters
    ----------
    names : iterable of str
        Any text.
    prefix : str, default="weight/"
        Legal text that every key starts with.

    Examples
    --------
    >>> list(metric_keys(["Add to cart", "view:/pricing?x=1"]).values())
    ['weight/Add to cart', 'weight/view_pricing_x_1-0c9902e4']
    """
    return {name: prefix + _part(name, MAX_KEY - len(prefix)) for name in names}


def legal_key(name: str, limit: int = MAX_KEY) -> str:
    """Return `name` where MLflow accepts it as a key (with ``/`` and ``:``), else a legal form.

    Examples
    --------
    >>> legal_key("config/counts"), legal_key("rules[0]")
    ('config/counts', 'rules_0-6ae29ec1')
    """
    plain = re.fullmatch(r"[\w .:/-]+", name) and len(name) <= limit
    tidy = posixpath.normpath(name) == name != "." and not name.startswith(("/", ".."))
    return name if plain and tidy and not _HASHED.search(name[-9:]) else _part(name, limit)


def model_label(run_name: str, run_id: str) -> str:
    """Return the name of a logged model: the run's name as far as it is legal, and its id.

    Examples
    --------
    >>> model_label("v1.2 'best'", "0123456789abcdef")
    'v1_2 _best-012345'
    """
    text = re.sub(r"[^\w -]+", "_", run_name).strip(" _-")[:80] or "weights"
    return f"{text}-{run_id[:6]}"


def _part(name: str, limit: int) -> str:
    text = re.sub(r"[^\w .-]+", "_", name).strip(" ")
    plain = text == name and text not in ("", ".") and not text.startswith("..")
    # A name that looks hashed is hashed too, so that no kept name equals a made one.
    if plain and len(text) <= limit and not _HASHED.search(text[-9:]):
        return text
    seal = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    text = text.strip("_.") or "_"
    return f"{text[: limit - 9]}-{seal}"
