"""Weight sets compared: their weights, how good they are on the same rows, and who changes band."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ces_ml.errors import CesWarning, SpecError, show
from ces_ml.evaluation import (
    Agreement,
    Calibration,
    Difference,
    Migration,
    agreement,
    band_migration,
    calibration,
    comparison,
    latest_rows,
    paired_differences,
)
from ces_ml.training.config import TrainingConfig
from ces_ml.training.counting import looked_at_in_words
from ces_ml.training.held_out import HeldOut, count_held_out
from ces_ml.training.weight_changes import (
    RankFlip,
    SignFlip,
    WeightRow,
    importance,
    rank_flips,
    sign_flips,
    weight_rows,
)
from ces_ml.weights import WeightSet

__all__ = ["Change", "Compared", "WeightSetComparison", "compare_weight_sets", "compared"]

Progress = Callable[[str], None]
STAGES = ("counting events", "comparing on held-out rows")
_NO_LOG = (
    "no held-out rows: weights are compared, and the metrics are those noted at training, each on "
    "rows of its own"
)


@dataclass(frozen=True)
class Compared:
    """One of the weight sets.

    Parameters
    ----------
    name : str
        What it is called here; any text.
    weight_set, fingerprint : str
        Its own name, and its fingerprint.
    verdict : str
        Whether it beat counting when it was trained; empty where that was not judged.
    recorded : dict of str to float
        Metrics noted at training, on its own held-out rows: not comparable with those of another.
    metrics : dict of str to float
        Metrics on the rows that all of them are compared on; empty without a log.
    calibration : Calibration or None
        How true its probability is on these rows.
    seen : int or None
        Rows among them that it may have learned from; None where that is not known.
    """

    name: str
    weight_set: str
    fingerprint: str
    verdict: str
    recorded: dict[str, float]
    metrics: dict[str, float]
    calibration: Calibration | None
    seen: int | None


@dataclass(frozen=True)
class Change:
    """What changes when a challenger takes the place of the first weight set.

    Parameters
    ----------
    name : str
        The challenger.
    sign_flips : tuple of SignFlip
    rank_flips : tuple of RankFlip
        The clearest ones.
    swapped, pairs : int
        Pairs of shared terms whose order of importance turns round, and all pairs.
    only_before, only_after : tuple of str
        Terms that one of the two does not have.
    otherwise : tuple of str
        Terms of one name that are counted in two ways: their weights can't be compared.
    differences : tuple of Difference
        Metrics of the challenger minus those of the first, with intervals by customer.
    migration : Migration or None
        Every customer's latest held-out row, by band.
    agreement : Agreement or None
        Correlations of the scores of 0 to 100 on the held-out rows.
    """

    name: str
    sign_flips: tuple[SignFlip, ...]
    rank_flips: tuple[RankFlip, ...]
    swapped: int
    pairs: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    otherwise: tuple[str, ...]
    differences: tuple[Difference, ...] = ()
    migration: Migration | None = None
    agreement: Agreement | None = None


@dataclass(frozen=True)
class WeightSetComparison:
    """Two or more weight sets side by side; the first is what the others would replace.

    Parameters
    ----------
    sets : tuple of Compared
    weights : tuple of WeightRow
        One row a term, the most important first.
    changes : tuple of Change
        One a challenger, in the order of `sets`.
    rows, customers, good : int
        Held-out rows that all were scored on, their customers, and rows with the good outcome;
        0 without a log.
    split : str
        Which rows these are, in words; without a log, why there are none.
    level : float
        Nominal coverage of the intervals of the differences.
    notes : tuple of str
        What a reader must know before believing a number.
    """

    sets: tuple[Compared, ...]
    weights: tuple[WeightRow, ...]
    changes: tuple[Change, ...]
    rows: int
    customers: int
    good: int
    split: str
    level: float
    notes: tuple[str, ...] = ()

    def without_log(self, why: str) -> WeightSetComparison:
        """Return a copy that says why there are no held-out rows."""
        return dataclasses.replace(self, split=f"{_NO_LOG}; {why}")

    def as_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold; what is not a number becomes None."""
        body = _plain(dataclasses.asdict(self))
        for change, found in zip(body["changes"], self.changes, strict=True):
            if found.migration is not None:
                m = found.migration
                change["migration"] |= {"changed": m.changed, "up": m.up, "down": m.down}
        for one, found_set in zip(body["sets"], self.sets, strict=True):
            if found_set.calibration is not None:
                one["calibration"] = found_set.calibration.metrics
        return dict(body)


def compare_weight_sets(
    sets: Mapping[str, WeightSet],
    config: TrainingConfig | None = None,
    events: Any = None,
    *,
    labels: Any = None,
    treated: Any = None,
    level: float | None = None,
    progress: Progress = lambda stage: None,
) -> WeightSetComparison:
    """Compare weight sets; with a configuration also on the same held-out rows.

    Each weight set is scored on what it counts itself, so they may count different events. The
    held-out rows are those of the configuration's split.

    Parameters
    ----------
    sets : mapping of str to WeightSet
        At least two, by the name to call them; the first is what the others would replace.
    config : TrainingConfig, optional
        Gives log, rows, outcome and split. Without it weights are compared, and nothing else.
    events, labels, treated : path, frame, table or relation, optional
        As in `train`.
    level : float, optional
        Nominal coverage of intervals; that of the configuration when not given.
    progress : callable, optional

    Returns
    -------
    WeightSetComparison

    Raises
    ------
    SpecError
        If there are fewer than two weight sets.
    ConfigError, EventLogError
        If the log can't be read, as in `train`.

    Warns
    -----
    CesWarning
        If a weight set may have learned from rows that it is judged on.

    Examples
    --------
    >>> from ces_ml.datasets import make_event_history
    >>> from ces_ml.training import train
    >>> log = make_event_history(1500).events
    >>> job = {"name": "trial", "as_of": "14d after trial_started",
    ...        "outcome": {"task": "conversion", "event": "subscription_started",
    ...                    "horizon": "14d"},
    ...        "counts": [{"events": ["login", "demo_booked"], "window": "28d"}],
    ...        "evaluation": {"ceiling": False}}
    >>> config = TrainingConfig.parse(job)
    >>> old = train(config, log).weight_set
    >>> new = train(TrainingConfig.parse(job | {"model": {"rules": ["login = 0"]}}), log).weight_set
    >>> found = compare_weight_sets({"old": old, "new": new}, config, log)
    >>> [d.metric for d in found.changes[0].differences], found.changes[0].migration.customers > 0
    (['roc_auc', 'log_loss', 'brier'], True)
    """
    if len(sets) < 2:
        raise SpecError(
            "there is nothing to compare",
            got=f"{len(sets)} weight sets: {show(list(sets))}",
            allowed="two or more",
            hint="name the weight set in use first, then its challengers",
        )
    return compared(sets, config, events, labels, treated, level, progress)


def compared(
    sets: Mapping[str, WeightSet],
    config: TrainingConfig | None = None,
    events: Any = None,
    labels: Any = None,
    treated: Any = None,
    level: float | None = None,
    progress: Progress = lambda stage: None,
) -> WeightSetComparison:
    """Compare any number of weight sets, also one alone; see `compare_weight_sets`."""
    progress(STAGES[0])
    held = None
    if config is not None:
        held = count_held_out(sets, config, events, labels=labels, treated=treated)
    progress(STAGES[1])
    level = level or (config.evaluation.level if config else 0.9)
    spreads = [held.scored[name].spread for name in sets] if held else None
    first, *others = sets
    notes = _notes(sets, config, held)
    return WeightSetComparison(
        sets=tuple(_one(name, ws, held) for name, ws in sets.items()),
        weights=weight_rows(list(sets.values()), spreads),
        changes=tuple(_change(sets, first, name, held, config, level) for name in others),
        rows=len(held.rows) if held else 0,
        customers=len(set(held.customers.astype(str).tolist())) if held else 0,
        good=int(held.rows.outcomes.sum()) if held else 0,
        split=held.split.description if held else _NO_LOG,
        level=level,
        notes=notes,
    )


def _one(name: str, weight_set: WeightSet, held: HeldOut | None) -> Compared:
    source, verdict = weight_set.provenance, weight_set.verdict
    metrics: dict[str, float] = {}
    true = None
    if held is not None:
        found, rows = held.scored[name], held.rows
        [row] = comparison(
            rows.outcomes, {name: (found.raw, found.probability)}, rows.sample_weight
        )
        metrics = {k: v for k, v in row.items() if k != "name"}
        true = calibration(rows.outcomes, found.probability, rows.sample_weight)
    return Compared(
        name=name,
        weight_set=weight_set.name,
        fingerprint=weight_set.fingerprint,
        verdict=verdict.words if verdict else "",
        recorded=dict(source.metrics) if source else {},
        metrics=metrics,
        calibration=true,
        seen=held.scored[name].seen if held else None,
    )


def _change(
    sets: Mapping[str, WeightSet],
    first: str,
    name: str,
    held: HeldOut | None,
    config: TrainingConfig | None,
    level: float,
) -> Change:
    before, after = sets[first], sets[name]
    spread = [held.scored[k].spread if held else None for k in (first, name)]
    flips, swapped, pairs = rank_flips(importance(before, spread[0]), importance(after, spread[1]))
    rows = weight_rows([before, after])
    change = Change(
        name=name,
        sign_flips=sign_flips(before, after),
        rank_flips=flips,
        swapped=swapped,
        pairs=pairs,
        only_before=tuple(n for n in before.names if n not in after.weights),
        only_after=tuple(n for n in after.names if n not in before.weights),
        otherwise=tuple(r.term for r in rows if r.otherwise),
    )
    if held is None or config is None:
        return change
    old, new = held.scored[first], held.scored[name]
    latest = latest_rows(held.customers, held.rows.as_of.to_numpy())
    bands = [[band.name for band in ws.bands] for ws in (before, after)]
    return dataclasses.replace(
        change,
        differences=tuple(
            paired_differences(
                held.rows.outcomes,
                (new.raw, new.probability),
                {first: (old.raw, old.probability)},
                held.customers,
                sample_weight=held.rows.sample_weight,
                replicates=config.evaluation.replicates,
                level=level,
                seed=config.seed,
                brier=True,
            )
        ),
        migration=band_migration(old.band[latest], new.band[latest], *bands),
        agreement=agreement(old.score, new.score),
    )


def _notes(
    sets: Mapping[str, WeightSet], config: TrainingConfig | None, held: HeldOut | None
) -> tuple[str, ...]:
    """Return what stands between the numbers and belief in them; rows seen are warned of too."""
    notes: list[str] = []
    if held is not None and config is not None:
        notes += looked_at_in_words(held.rows.report)
        for name, found in held.scored.items():
            if found.seen is None:
                notes.append(f"{show(name)} does not say what it learned from")
            elif found.seen:
                notes.append(
                    f"{show(name)} may have learned from {found.seen:,} of the {len(held.rows):,} "
                    "held-out rows, so its metrics may flatter it"
                )
                warnings.warn(notes[-1], CesWarning, stacklevel=4)
        asked = config.outcome.portable
        notes += [
            f"{show(name)} was trained for another outcome than the one it is judged by"
            for name, ws in sets.items()
            if ws.outcome is not None and ws.outcome != asked
        ]
    first, *others = sets.values()
    if config is None:
        notes += [
            f"{show(name)} was trained for another outcome than the first"
            for name, ws in sets.items()
            if None not in (ws.outcome, first.outcome) and ws.outcome != first.outcome
        ]
    bands = [band.name for band in first.bands]
    for name, other in list(sets.items())[1:]:
        if [band.name for band in other.bands] != bands:
            notes.append(f"{show(name)} calls its bands otherwise than the first")
    if any(other.fingerprint == first.fingerprint for other in others):
        notes.append("two of the weight sets are the same")
    return tuple(notes)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
