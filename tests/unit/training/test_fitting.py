"""Alpha by folds, prices of rules and integer points of a job, each against work by hand."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss, roc_auc_score

from ces_ml.errors import CesWarning, ConfigError, InfeasibleConstraintsError
from ces_ml.linear import ConstrainedLogisticRegression
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, TrainingResult, penalty_in_words, record, stages, train
from ces_ml.training.counting import count_for_training
from ces_ml.weights import WeightSet

ONE_SE = {"choose": "one_standard_error", "folds": 4}


def changed(config: TrainingConfig, **sections: object) -> TrainingConfig:
    body = config.model_dump(mode="json")
    model = body["model"] | sections.pop("model", {})
    return TrainingConfig.parse(body | {"model": model} | sections)


@pytest.fixture(scope="module")
def full(config: TrainingConfig, log: pd.DataFrame) -> TrainingResult:
    """A job with everything: alpha by folds, a rule that binds, points."""
    rules = [*config.model.rules, "demo_booked <= 0.5", "login >= 2 * page_view"]
    wanted = {"alpha": ONE_SE, "rules": rules}
    return train(changed(config, model=wanted, points={"range": [-4, 8]}), log)


@pytest.fixture(scope="module")
def rows(full: TrainingResult, log: pd.DataFrame):
    """The job's rows, counted again: design, outcomes, and the table."""
    table, _ = count_for_training(full.config, log)
    return table.design().astype(np.float32), np.asarray(table.outcomes), table


def by_hand(full: TrainingResult, alpha: float, rules=None) -> ConstrainedLogisticRegression:
    rules = full.config.model.rules if rules is None else rules
    return ConstrainedLogisticRegression(alpha=alpha, constraints=rules or None)


def test_alpha_is_what_a_loop_over_the_folds_finds(full: TrainingResult, rows) -> None:
    Z, y, table = rows
    X, good, choice = Z[full.split.train], y[full.split.train], full.alpha_choice
    losses = np.empty((len(choice.folds), len(choice.alphas)))
    for f, (train_rows, test_rows) in enumerate(choice.folds):
        for a, alpha in enumerate(choice.alphas):
            fit = by_hand(full, alpha).fit(
                X[train_rows], good[train_rows], feature_names=table.names
            )
            losses[f, a] = log_loss(good[test_rows], fit.predict_proba(X[test_rows])[:, 1])
    mean, error = losses.mean(axis=0), losses.std(axis=0, ddof=1) / np.sqrt(len(losses))
    best = mean.argmin()
    within = [a for k, a in enumerate(choice.alphas) if mean[k] <= mean[best] + error[best]]
    assert choice.fold_losses == pytest.approx(losses, abs=1e-7)
    assert full.alpha == choice.alpha == max(within) > choice.alphas[best]
    assert len(choice.folds) == 4


def test_no_outcome_that_a_fold_trains_on_was_unknown_at_its_first_test_row(
    full: TrainingResult, rows
) -> None:
    *_, table = rows
    moments = table.as_of[full.split.train].reset_index(drop=True)
    known = moments + pd.Timedelta(days=14)  # the horizon; there is no gap
    n, tested = len(moments), []
    for train_rows, test_rows in full.alpha_choice.folds:
        assert known[train_rows].max() <= moments[test_rows].min()
        assert len(train_rows) >= n / 10
        tested += test_rows.tolist()
    assert max(tested) < n == full.split.train.sum()
    assert len(tested) == len(set(tested))


def test_a_gap_is_purged_too(config: TrainingConfig, log: pd.DataFrame) -> None:
    outcome = config.outcome.model_dump(mode="json") | {"gap": "10d"}
    asked = changed(config, outcome=outcome, model={"alpha": "auto", "price_of_rules": False})
    result = train(asked, log)
    table, _ = count_for_training(asked, log)
    moments = table.as_of[result.split.train].reset_index(drop=True)
    for train_rows, test_rows in result.alpha_choice.folds:
        apart = moments[test_rows].min() - moments[train_rows].max()
        assert apart >= pd.Timedelta(days=24)


def test_auto_takes_the_best_of_five_folds(config: TrainingConfig, log: pd.DataFrame) -> None:
    result = train(changed(config, model={"alpha": "auto"}), log)
    choice = result.alpha_choice
    assert len(choice.folds) == 5
    assert result.alpha == choice.alpha == choice.alphas[choice.mean.argmin()]
    assert result.weight_set.fingerprint == train(result.config, log).weight_set.fingerprint


def test_the_weights_are_those_of_the_alpha_chosen(full: TrainingResult, rows) -> None:
    Z, y, table = rows
    fit = by_hand(full, full.alpha).fit(
        Z[full.split.train], y[full.split.train], feature_names=table.names
    )
    assert list(full.weight_set.weights.values()) == pytest.approx(fit.coef_[0], abs=1e-7)
    at = list(full.path.alphas).index(full.alpha)
    assert full.path.coefs[at] == pytest.approx(fit.coef_[0], abs=1e-7)
    assert full.path.feature_names == full.weight_set.names


def test_disjoint_customers_stay_apart_in_the_folds_too(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    asked = changed(
        config,
        as_of="every 14d from 2025-02-01 to 2025-05-24",
        outcome={"task": "churn", "silence_of": "*", "active_within": "28d", "horizon": "14d"},
        split={"customers": "disjoint"},
        model={"alpha": {"folds": 3}, "rules": []},
    )
    result = train(asked, log)
    table, _ = count_for_training(asked, log)
    customer = table.customer[result.split.train].to_numpy()
    for train_rows, test_rows in result.alpha_choice.folds:
        assert not set(customer[train_rows]) & set(customer[test_rows])


def test_where_the_split_is_by_customer_the_folds_are_too(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    asked = changed(
        config,
        as_of="2025-05-01",
        outcome={"task": "churn", "silence_of": "*", "active_within": "28d", "horizon": "14d"},
        model={"alpha": "auto"},
    )
    result = train(asked, log)
    assert result.split.test_from is None
    tested = np.concatenate([test for _, test in result.alpha_choice.folds])
    assert sorted(tested) == list(range(int(result.split.train.sum())))


def test_too_few_moments_for_the_folds_are_refused_with_what_to_write(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    asked = changed(
        config,
        as_of="every 28d from 2025-02-01 to 2025-05-24",
        outcome={"task": "churn", "silence_of": "*", "active_within": "28d", "horizon": "14d"},
        model={"alpha": {"folds": 9}},
    )
    with pytest.raises(ConfigError, match=r"alpha can't be chosen by folds.*too few moments") as e:
        train(asked, log)
    assert "folds: 2" in e.value.hint
    assert e.value.got
    assert e.value.allowed


def test_refits_that_do_not_converge_are_told_in_one_warning(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    # Everybody who converts, and nobody else, has seen the price: only the rule bounds the weight.
    good = log.loc[log["event_type"] == "subscription_started", ["customer_id"]].merge(
        log[log["event_type"] == "trial_started"]
    )
    seen = good.assign(event_type="price_seen", timestamp=good["timestamp"] + pd.Timedelta("1h"))
    after = good.assign(
        event_type="subscription_started", timestamp=good["timestamp"] + pd.Timedelta(days=15)
    )
    told = pd.concat([log[log["event_type"] != "subscription_started"], seen, after])
    counts = [{"events": ["price_seen", "login"], "window": "28d"}]
    model = {"alpha": 0, "rules": ["price_seen <= 1"], "hand_set": {}}
    leak = {"allow": ["price_seen"]}  # it decides the outcome, as it should here
    with pytest.warns(CesWarning, match=r"1 of the fits without one of the rules") as caught:
        result = train(changed(config, counts=counts, model=model, audit=leak), told)
    assert len(caught) == 1
    assert result.prices[0].rule == "price_seen <= 1"


def test_prices_are_those_of_a_refit_by_hand(full: TrainingResult, rows) -> None:
    Z, y, table = rows
    (X, good), (X_test, y_test) = (
        (Z[side], y[side]) for side in (full.split.train, full.split.test)
    )
    stated = full.config.model.rules
    with_all = by_hand(full, full.alpha).fit(X, good, feature_names=table.names)
    before = with_all.predict_proba(X_test)[:, 1]
    priced = {price.rule: price for price in full.prices}
    assert "login >= 2 * page_view" in priced
    for rule in stated:
        rest = [other for other in stated if other != rule]
        fit = by_hand(full, full.alpha, rest).fit(X, good, feature_names=table.names)
        after = fit.predict_proba(X_test)[:, 1]
        if rule not in priced:
            assert fit.coef_ == pytest.approx(with_all.coef_, abs=1e-6)
            continue
        price = priced[rule]
        assert price.held_out
        assert price.log_loss_change == pytest.approx(
            log_loss(y_test, after) - log_loss(y_test, before), abs=1e-7
        )
        assert price.auc_change == pytest.approx(
            roc_auc_score(y_test, after) - roc_auc_score(y_test, before), abs=1e-9
        )


def test_prices_are_left_out_where_not_wanted_and_change_no_weight(
    full: TrainingResult, config: TrainingConfig, log: pd.DataFrame
) -> None:
    without = train(changed(full.config, model={"price_of_rules": False}), log)
    assert without.prices == ()
    assert without.weight_set.fingerprint == full.weight_set.fingerprint
    assert "pricing rules" in stages(full.config)
    assert "pricing rules" not in stages(without.config)
    assert "pricing rules" not in stages(changed(config, model={"rules": []}))


def test_points_are_whole_numbers_in_the_range_that_obey_the_rules(full: TrainingResult) -> None:
    card = full.weight_set.points
    assert set(card.values) == set(full.weight_set.names)
    assert all(-4 <= v <= 8 and isinstance(v, int) for v in card.values.values())
    assert any(card.values.values())
    w = card.weights
    assert w["login"] >= 0
    assert w["demo_booked"] >= w["webinar_attended"]
    assert w["support_ticket"] <= 0
    assert w["error_seen"] <= 0
    assert w["demo_booked"] <= 0.5 + 1e-9
    assert w["login"] >= 2 * w["page_view"] - 1e-9
    assert WeightSet.from_json(full.weight_set.to_json()).points == card


def test_points_cost_what_is_stated(full: TrainingResult, rows) -> None:
    _, y, table = rows
    card = full.weight_set.points
    m = np.array([card.values[name] for name in table.names], dtype=float)
    total = table.design() @ m
    probability = 1 / (1 + np.exp(-(card.scale * total + card.intercept)))
    train_rows, test_rows = full.split.train, full.split.test
    w = np.array(list(full.weight_set.weights.values()))
    of_weights = 1 / (1 + np.exp(-(table.design() @ w + full.weight_set.intercept)))
    given_up = log_loss(y[train_rows], probability[train_rows]) - log_loss(
        y[train_rows], of_weights[train_rows]
    )
    assert card.log_loss_given_up == pytest.approx(given_up, abs=1e-7)
    assert card.metrics["roc_auc"] == pytest.approx(roc_auc_score(y[test_rows], total[test_rows]))
    assert card.metrics["log_loss"] == pytest.approx(
        log_loss(y[test_rows], probability[test_rows]), abs=1e-7
    )
    assert full.comparison[1]["name"] == "integer_points"
    # Scale and intercept are the best there are for these points.
    best = LogisticRegression(C=np.inf, tol=1e-10).fit(total[train_rows, None], y[train_rows])
    assert card.scale <= best.coef_[0, 0] + 1e-4
    if card.weights["demo_booked"] < 0.5 - 1e-9:
        assert card.scale == pytest.approx(best.coef_[0, 0], rel=1e-3)


def test_the_order_of_the_log_changes_neither_alpha_nor_points(
    full: TrainingResult, log: pd.DataFrame
) -> None:
    other = train(full.config, log.sample(frac=1, random_state=5))
    assert other.alpha == pytest.approx(full.alpha, rel=1e-9)
    assert other.weight_set.fingerprint == full.weight_set.fingerprint


@pytest.mark.slow
def test_points_may_be_kept_to_few_terms(config: TrainingConfig, log: pd.DataFrame) -> None:
    asked = changed(config, points={"at_most": 2})
    result = train(asked, log)
    card = result.weight_set.points
    assert 1 <= sum(v != 0 for v in card.values.values()) <= 2
    assert sum(w != 0 for w in result.weight_set.weights.values()) > 2
    assert card.log_loss_given_up > 0.001
    limited = changed(asked, model={"rules": [*config.model.rules, "at most 4 events"]})
    values = train(limited, log).weight_set.points.values.values()
    assert 1 <= sum(v != 0 for v in values) <= 2
    plain = train(config, log).weight_set
    assert plain.points is None
    assert plain.weights == result.weight_set.weights


def test_points_that_no_scale_can_make_obey_the_rules_are_refused(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    rules = {"rules": ["login = 0.5", "demo_booked = 0.001"]}
    with pytest.raises(InfeasibleConstraintsError, match="no points from -5 to 10 obey the rules"):
        train(changed(config, model=rules, points={}), log)


def test_a_weight_set_called_like_the_points_stays_the_first(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    asked = changed(config, name="integer_points", points={})
    rows = train(asked, log).comparison
    assert [row["name"] for row in rows[:2]] == ["integer_points", "integer_points"]
    assert rows[0]["roc_auc"] != rows[1]["roc_auc"]


@pytest.mark.slow
def test_the_run_holds_alpha_folds_path_prices_and_points(full: TrainingResult, tmp_path) -> None:
    import mlflow

    tracker = Tracker(tmp_path / "mlflow.db", "test")
    info = record(full, tracker)
    client = mlflow.MlflowClient(tracker.store)
    run = client.get_run(info.run_id)
    assert float(run.data.params["alpha"]) == full.alpha
    assert run.data.params["alpha_chosen_by"] == "4 folds, one_standard_error"
    at = list(full.alpha_choice.alphas).index(full.alpha)
    assert run.data.metrics["alpha_folds/log_loss"] == full.alpha_choice.mean[at]
    card = full.weight_set.points
    assert run.data.metrics["points/log_loss_given_up"] == card.log_loss_given_up
    assert "integer_points/roc_auc" in run.data.metrics

    def table(name: str) -> pd.DataFrame:
        path = client.download_artifacts(info.run_id, name, str(tmp_path))
        return pd.DataFrame(**json.loads(Path(path).read_text(encoding="utf-8")))

    folds = table("alpha_folds.json")
    assert folds["alpha"].tolist() == full.alpha_choice.alphas.tolist()
    assert folds[[f"fold_{k}" for k in (1, 2, 3, 4)]].mean(axis=1).tolist() == pytest.approx(
        folds["log_loss"].tolist()
    )
    path = table("alpha_path.json").pivot(index="alpha", columns="term", values="weight")
    assert path.loc[full.alpha, "login"] == pytest.approx(full.weight_set.weights["login"])
    assert len(table("price_of_rules.json")) == len(full.prices)
    points = table("points.json").set_index("term")["points"]
    assert points.to_dict() == card.values
    assert tracker.load(info.run_id).points == card
    files = {item.path for item in client.list_artifacts(info.run_id)}
    assert "alpha.png" in files
    text = Path(client.download_artifacts(info.run_id, "weight_card.md", str(tmp_path))).read_text()
    for part in ("## Points", "## Price of rules", "chosen by 4 folds (one standard error)"):
        assert part in text
    saved = client.download_artifacts(info.run_id, "config.yaml", str(tmp_path))
    again = TrainingConfig.from_file(saved)
    assert (again.digest, again.model) == (full.config.digest, full.config.model)


def test_the_penalty_in_words(full: TrainingResult, result: TrainingResult) -> None:
    assert penalty_in_words(result) == "alpha 0.0001, as configured."
    words = penalty_in_words(full)
    assert words.startswith(f"alpha {full.alpha:.3g}, chosen by 4 folds (one standard error)")


def test_an_alpha_at_the_end_of_those_tried_is_pointed_out(full: TrainingResult) -> None:
    from dataclasses import replace

    for k, words in ((0, "the largest tried"), (-1, "the smallest tried")):
        edge = replace(full.alpha_choice, alpha=float(full.alpha_choice.alphas[k]))
        assert words in penalty_in_words(replace(full, alpha_choice=edge))
