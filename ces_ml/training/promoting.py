"""The promotion job: the rules of the gate are judged, then the alias moves, or it does not."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ces_ml.errors import CesError, CesWarning, TrackingError
from ces_ml.tracking import RuleResult, open_store
from ces_ml.tracking.gate import check_override, override_tags, refusal
from ces_ml.tracking.history import NOWHERE
from ces_ml.tracking.load import load_from_store
from ces_ml.tracking.registry import (
    check_alias,
    check_name,
    model_of_run,
    move_alias,
    version_holding,
    versions_of,
)
from ces_ml.tracking.run_files import add_run_files, has_run_file, run_of
from ces_ml.tracking.store import Store
from ces_ml.training.comparing import WeightSetComparison, compared
from ces_ml.training.comparing_runs import CONFIG_FILE, comparison_files, config_of_run
from ces_ml.training.config import TrainingConfig
from ces_ml.training.gate_config import PromotionConfig
from ces_ml.training.gating import CHALLENGER, CHAMPION, Evidence, judge_rules
from ces_ml.weights import WeightSet

__all__ = ["Judgement", "Promotion", "carry_out", "judge_promotion", "promote"]

Ref = str | os.PathLike[str]


@dataclass(frozen=True)
class Judgement:
    """What the gate says about a run before an alias moves.

    Parameters
    ----------
    run_id, name, alias : str
        Which run, to which registered model and alias.
    weight_set : WeightSet
    before : str
        Version that the alias points at; ``"none"`` where it is not set.
    already : bool
        Whether that is the run's own: nothing is to be judged then.
    results : tuple of RuleResult
    rules_of : str
        Where the rules come from, in words.
    comparison : WeightSetComparison or None
        With the weights in use, where a rule asked for it.
    store : Store
    """

    run_id: str
    name: str
    alias: str
    weight_set: WeightSet
    before: str
    already: bool
    results: tuple[RuleResult, ...]
    rules_of: str
    comparison: WeightSetComparison | None = None
    store: Store = field(repr=False, kw_only=True)

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return all(r.passed for r in self.results)


@dataclass(frozen=True)
class Promotion:
    """An alias after a promotion.

    Parameters
    ----------
    version : str
        What it points at now.
    moved : bool
        False where it pointed there already.
    judgement : Judgement
    """

    version: str
    moved: bool
    judgement: Judgement


def judge_promotion(
    run: str,
    name: str | None = None,
    alias: str = "champion",
    *,
    config: TrainingConfig | None = None,
    events: Any = None,
    labels: Any = None,
    treated: Any = None,
    store: Ref | None = None,
    progress: Callable[[str], None] = lambda stage: None,
) -> Judgement:
    """Judge the rules of the gate for the weights of a run; nothing is moved or written.

    Parameters
    ----------
    run : str
        Run id, or another reference to the weight set of a run.
    name : str, optional
        Registered model; the name of the weight set when not given.
    alias : str, default="champion"
        The champion of the rules is what this alias points at.
    config : TrainingConfig, optional
        Its section ``promotion`` has the rules, and its log the held-out rows. The configuration
        that the run has kept when not given.
    events, labels, treated : path, frame, table or relation, optional
        As in `train`, where the configuration does not name them.
    store : str or path-like, optional
    progress : callable, optional

    Returns
    -------
    Judgement

    Raises
    ------
    TrackingError
        If the run is not there, or name or alias are not allowed.
    """
    opened = open_store(store, make=False)
    run_id = run_of(opened, run) or run
    model = model_of_run(opened, run_id)
    weight_set = load_from_store(opened, run_id)
    name = name or weight_set.name
    check_name(name)
    check_alias(alias)
    versions = versions_of(opened, name)
    aliases = dict(opened.client.get_registered_model(name).aliases) if versions else {}
    before = str(aliases.get(alias, NOWHERE))
    already = before != NOWHERE and before == version_holding(versions, model)
    judged = Judgement(run_id, name, alias, weight_set, before, already, (), "", store=opened)
    if already:
        return judged
    config, rules, source = _rules(opened, run_id, config)
    champion, why_no_champion = _champion(opened, name, before)
    comparison, why = None, ""
    if rules.needs_log:
        sets = {} if champion is None else {CHAMPION: champion}
        given = (events, labels, treated)
        comparison, why = _comparison(
            {**sets, CHALLENGER: weight_set}, config, rules, given, progress
        )
    evidence = Evidence(weight_set, champion, comparison, why, why_no_champion)
    return Judgement(
        run_id,
        name,
        alias,
        weight_set,
        before,
        False,
        judge_rules(rules, evidence),
        source,
        comparison,
        store=opened,
    )


def carry_out(
    judgement: Judgement, reason: str | None = None, override: str | None = None
) -> Promotion:
    """Move the alias if every rule holds, or a person says why it moves all the same.

    What the rules found, and the comparison with the weights in use, are kept in the run, also
    when the alias does not move.

    Parameters
    ----------
    judgement : Judgement
    reason : str, optional
        Why, for people who read the history.
    override : str, optional
        Why the alias moves although rules do not hold; kept with who, when and which rules.

    Returns
    -------
    Promotion

    Raises
    ------
    TrackingError
        If a rule does not hold and there is no override, the override is blank, or the alias has
        moved since it was judged.

    Warns
    -----
    CesWarning
        If the findings could not be kept in the run.
    """
    check_override(override)
    if judgement.already:
        return Promotion(judgement.before, False, judgement)
    _keep(judgement)
    if not judgement.passed and override is None:
        raise refusal(judgement.run_id, judgement.results)
    verdict = judgement.weight_set.verdict
    beside = {"verdict": verdict.words} if verdict else {}
    if not judgement.passed and override is not None:
        beside |= override_tags(override)
    version = move_alias(
        judgement.store,
        model_of_run(judgement.store, judgement.run_id),
        judgement.name,
        judgement.alias,
        reason,
        beside,
        judgement.results,
        judged_against=judgement.before,
    )
    return Promotion(version, True, judgement)


def promote(
    run: str,
    name: str | None = None,
    alias: str = "champion",
    *,
    reason: str | None = None,
    override: str | None = None,
    **given: Any,
) -> Promotion:
    """Judge the rules of the gate and move the alias: `judge_promotion`, then `carry_out`.

    Parameters
    ----------
    run, name, alias : str
        As `judge_promotion`.
    reason, override : str, optional
        As `carry_out`.
    **given
        Further arguments of `judge_promotion`.

    Returns
    -------
    Promotion

    Raises
    ------
    TrackingError
        If a rule does not hold and there is no override.

    Examples
    --------
    >>> promote("0123456789abcdef0123456789abcdef", "churn", reason="new events")
    ... # doctest: +SKIP
    """
    check_override(override)
    return carry_out(judge_promotion(run, name, alias, **given), reason, override)


def _rules(
    store: Store, run_id: str, config: TrainingConfig | None
) -> tuple[TrainingConfig | None, PromotionConfig, str]:
    if config is not None:
        return config, config.promotion, "the configuration given"
    # A store that fails is an error: it must not let a run pass without its rules.
    if not has_run_file(store, run_id, CONFIG_FILE):
        return None, PromotionConfig(), "the defaults: the run has kept no configuration"
    kept = config_of_run(store, run_id)
    return kept, kept.promotion, "the configuration that the run has kept"


def _champion(store: Store, name: str, version: str) -> tuple[WeightSet | None, str]:
    if version == NOWHERE:
        return None, ""
    try:
        return load_from_store(store, f"models:/{name}/{version}"), ""
    except CesError as error:
        return None, f"version {version}, which the alias points at, can't be read: {error.problem}"


def _comparison(
    sets: dict[str, WeightSet],
    config: TrainingConfig | None,
    rules: PromotionConfig,
    given: tuple[Any, Any, Any],
    progress: Callable[[str], None],
) -> tuple[WeightSetComparison | None, str]:
    """Return the comparison that the rules ask for, or why there is none."""
    if config is None:
        return None, "the run has kept no configuration, and none is given"
    asked = rules.beats_champion
    # One end of a two-sided interval: 5 % lie below that of 90 %.
    level = 2 * asked.confidence - 1 if asked is not None else None
    try:
        with warnings.catch_warnings():
            # Rows that were seen are a finding of the rules.
            warnings.filterwarnings("ignore", ".*may have learned from", CesWarning)
            return compared(sets, config, *given, level=level, progress=progress), ""
    except CesError as error:
        return None, f"{error.problem} ({error.got})"


def _keep(judgement: Judgement) -> None:
    """Keep findings and comparison in the run; a promotion does not fail for that."""
    body = {
        "name": judgement.name,
        "alias": judgement.alias,
        "in_use": judgement.before,
        "passed": judgement.passed,
        "rules_of": judgement.rules_of,
        "rules": [r.as_dict() for r in judgement.results],
    }
    text = json.dumps(body, indent=2, ensure_ascii=False) + "\n"
    files = {f"promotion/gate_{judgement.alias}.json": text}
    if judgement.comparison is not None and judgement.comparison.changes:
        files |= comparison_files(judgement.comparison)
    try:
        add_run_files(judgement.store, judgement.run_id, files)
    except TrackingError as error:
        warnings.warn(
            f"the findings of {len(judgement.results)} rules could not be kept in the run: "
            f"{error.problem} ({error.got})",
            CesWarning,
            stacklevel=3,
        )
