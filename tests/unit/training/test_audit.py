"""The leak audit as part of a training job: what stops it, what is allowed, what is kept."""

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ces_ml.datasets import make_count_until_churn, make_event_history
from ces_ml.errors import ConfigError, LeakError, SpecError
from ces_ml.tracking import Tracker
from ces_ml.training import TrainingConfig, TrainingResult, record, train, train_many

#: Where the logs of the Open University and of a gift shop are, if they are here.
DATA = Path(os.environ.get("CES_ML_TEST_DATA", "none"))
OULAD = DATA / "oulad_assessments" / "events.parquet"
RETAIL = DATA / "online_retail" / "events.parquet"
LEFT_OUT = "ignore:.*rows are left out because:ces_ml.errors.CesWarning"
SUBSCRIBER = {
    "name": "retention",
    "outcome": {"task": "churn", "event": "subscription_cancelled", "horizon": "14d"},
    "as_of": "0d after account_reviewed",
    "counts": [{"events": ["login", "page_view", "support_ticket"], "window": "52w"}],
}


def planted(log: pd.DataFrame, event: str = "contract <signed>") -> pd.DataFrame:
    """A contract is signed 1 to 20 hours before as_of by everybody who converts later."""
    rng = np.random.default_rng(0)
    times = log.pivot_table(index="customer_id", columns="event_type", values="timestamp",
                            aggfunc="min")  # fmt: skip
    ask = times["trial_started"] + pd.Timedelta("14D")
    later = times.index[times["subscription_started"] > ask]
    signed = ask.loc[later] - pd.to_timedelta(rng.uniform(1, 20, len(later)), unit="h")
    rows = pd.DataFrame({"customer_id": later, "event_type": event, "timestamp": signed.to_numpy()})
    return pd.concat([log, rows.astype({"timestamp": "datetime64[us]"})])


@pytest.fixture(scope="module")
def leaky(log: pd.DataFrame) -> pd.DataFrame:
    return planted(log)


@pytest.fixture(scope="module")
def leaky_config(config: TrainingConfig) -> TrainingConfig:
    body = config.model_dump(mode="json")
    return TrainingConfig.parse(body | {"counts": [{"window": "28d", "exclude": "trial_*"}],
                                        "model": {}})  # fmt: skip


def allowing(config: TrainingConfig, *allow: object) -> TrainingConfig:
    return TrainingConfig.parse(config.model_dump(mode="json") | {"audit": {"allow": list(allow)}})


def test_an_honest_job_passes(result: TrainingResult) -> None:
    audit = result.audit
    assert audit.verdict == "passed"
    assert [f.kind for f in audit.findings] == ["no_arrival_time"]
    assert audit.rows == result.sample["rows"]
    assert list(audit.score_by_lead) == ["0d", "1d", "3d", "7d"]
    assert audit.score_by_lead["0d"] == pytest.approx(result.metrics["roc_auc"], abs=0.03)
    assert audit.score_by_lead["0d"] > audit.score_by_lead["7d"] > 0.6


def test_a_planted_leak_stops_the_job_with_its_numbers(
    leaky: pd.DataFrame, leaky_config: TrainingConfig
) -> None:
    with pytest.raises(LeakError, match="the leak audit stops this job") as caught:
        train(leaky_config, leaky)
    error = caught.value
    kinds = {(f.kind, f.event) for f in error.findings}
    assert kinds == {("decides_outcome", "contract <signed>"), ("late_power", "contract <signed>")}
    assert "100.0 % of the" in error.got
    assert "from the last 1d" in error.got
    assert 'audit: {allow: ["contract <signed>"]}' in error.hint
    assert pickle.loads(pickle.dumps(error)).findings == error.findings


@pytest.mark.slow
def test_the_job_stops_in_another_process_too(
    leaky: pd.DataFrame, leaky_config: TrainingConfig, tmp_path: Path
) -> None:
    leaky.to_parquet(tmp_path / "events.parquet")
    body = leaky_config.model_dump(mode="json")
    body["events"]["path"] = str(tmp_path / "events.parquet")
    with pytest.raises(LeakError, match="decides_outcome"):
        train_many([TrainingConfig.parse(body)] * 2, n_jobs=2)


@pytest.mark.parametrize(
    "allow",
    [
        ["contract <signed>"],
        ["contract*"],
        ["decides_outcome", "late_power", "score_late_power"],
        [{"event": "contract*", "reason": "signed on paper"}, "score_late_power"],
        ["*"],
    ],
)
def test_what_is_allowed_goes_on_and_is_kept(
    leaky: pd.DataFrame, leaky_config: TrainingConfig, allow: list[object]
) -> None:
    result = train(allowing(leaky_config, *allow, "score_late_power"), leaky)
    assert "contract <signed>" in result.weight_set.names
    stopped = {f.kind for f in result.audit.allowed}
    assert {"decides_outcome", "late_power"} <= stopped
    assert result.audit.verdict.startswith(f"{len(result.audit.allowed)} allowed")
    rest = [f for f in result.audit.findings if f.severity != "failure"]
    assert rest
    assert all(f.allowed is None for f in rest)


def test_allowing_another_finding_is_not_enough(
    leaky: pd.DataFrame, leaky_config: TrainingConfig
) -> None:
    with pytest.raises(LeakError, match="late_power"):
        train(allowing(leaky_config, "decides_outcome", "login"), leaky)
    wrong_event = {"finding": "late_power", "event": "login"}
    with pytest.raises(LeakError, match="late_power"):
        train(allowing(leaky_config, "decides_outcome", wrong_event), leaky)


def test_an_allowed_event_that_the_log_lacks_is_refused_with_the_nearest(
    leaky: pd.DataFrame, leaky_config: TrainingConfig
) -> None:
    with pytest.raises(SpecError, match=r"no event type in the log matches(.|\n)*'login'"):
        train(allowing(leaky_config, "logn"), leaky)
    with pytest.raises(ConfigError, match=r"no such finding(.|\n)*'late_power'"):
        allowing(leaky_config, {"finding": "late_powr"})


def test_allowing_everything_needs_a_reason(leaky_config: TrainingConfig) -> None:
    with pytest.raises(ConfigError, match="leaks are allowed for no reason"):
        leaky_config.allowing_leaks("  ")
    allowed = leaky_config.allowing_leaks("looked at it")
    assert allowed.audit.allow[-1].reason == "looked at it"
    assert allowed.digest == leaky_config.digest


@pytest.mark.slow
def test_what_was_allowed_stands_in_the_run(
    leaky: pd.DataFrame, leaky_config: TrainingConfig, tmp_path: Path
) -> None:
    import mlflow

    result = train(leaky_config.allowing_leaks("signed on paper"), leaky)
    tracker = Tracker(tmp_path / "mlflow.db", "test")
    run_id = record(result, tracker).run_id
    client = mlflow.MlflowClient(tracker.store)
    run = client.get_run(run_id)
    assert run.data.tags["leak_audit"] == result.audit.verdict
    assert "late_power of 'contract <signed>': signed on paper" in run.data.tags["leaks_allowed"]
    assert run.data.metrics["audit_allowed"] == len(result.audit.allowed)
    lead = run.data.metrics["auc_by_lead/1d"]
    assert lead == pytest.approx(result.audit.score_by_lead["1d"])
    assert "audit.json" in {item.path for item in client.list_artifacts(run_id)}
    path = client.download_artifacts(run_id, "config.yaml", str(tmp_path))
    assert TrainingConfig.from_file(path).audit == result.config.audit


@pytest.mark.slow
def test_the_audit_changes_no_weight(
    leaky: pd.DataFrame, leaky_config: TrainingConfig, result: TrainingResult
) -> None:
    one = train(leaky_config.allowing_leaks("a"), leaky).weight_set
    two = train(allowing(leaky_config, "contract*", "score_late_power"), leaky).weight_set
    assert one.fingerprint == two.fingerprint


def test_the_outcomes_own_event_among_the_counts_stops_the_job(
    config: TrainingConfig, log: pd.DataFrame
) -> None:
    body = config.model_dump(mode="json")
    body["outcome"]["count_own_events"] = True
    body |= {"counts": [{"window": "28d"}], "model": {}}
    with pytest.raises(LeakError, match="own_event: 'subscription_started' is the outcome itself"):
        train(TrainingConfig.parse(body), log)


@pytest.mark.filterwarnings(LEFT_OUT)
def test_the_exposure_trap_is_found_and_equal_windows_are_not() -> None:
    log = make_count_until_churn(2000, seed=7)
    with pytest.raises(LeakError, match=r"exposure: customers with the good outcome") as caught:
        train(TrainingConfig.parse(SUBSCRIBER), log)
    (finding,) = caught.value.findings
    assert finding.numbers["exposure_auc"] > 0.9
    assert finding.numbers["totals_auc"] > 0.75
    assert finding.numbers["rates_auc"] == pytest.approx(0.5, abs=0.06)
    honest = SUBSCRIBER | {
        "outcome": {"task": "churn", "event": "subscription_cancelled", "horizon": "28d"},
        "as_of": "every 28d from 2025-05-01 to 2025-12-31",
        "counts": [{"events": ["login", "page_view", "support_ticket"], "window": "28d"}],
    }
    audit = train(TrainingConfig.parse(honest), log).audit
    assert [f.kind for f in audit.findings] == ["no_arrival_time"]


def test_a_log_with_arrival_times_says_what_they_changed(config: TrainingConfig) -> None:
    log = make_event_history(1500, seed=3).events
    rng = np.random.default_rng(0)
    delay = pd.to_timedelta(np.where(rng.random(len(log)) < 0.2, 2.0, 0.0), unit="D")
    body = config.model_dump(mode="json")
    body["events"]["arrival_col"] = "seen_at"
    audit = train(TrainingConfig.parse(body), log.assign(seen_at=log["timestamp"] + delay)).audit
    (finding,) = [f for f in audit.findings if f.kind == "late_rows"]
    assert finding.severity == "warning"
    assert finding.numbers["late"] == pytest.approx(0.2, abs=0.02)
    assert finding.numbers["delay_days_p99"] == pytest.approx(2.0)
    assert not [f for f in audit.findings if f.kind == "no_arrival_time"]


@pytest.mark.skipif(not OULAD.exists(), reason="CES_ML_TEST_DATA holds no such log")
@pytest.mark.filterwarnings(LEFT_OUT)
@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (
            {
                "task": "churn",
                "silence_of": ["submit_tma", "submit_cma", "submit_exam"],
                "active_within": "90d",
                "horizon": "90d",
            },
            "decides_outcome",
        ),
        (
            {"task": "churn", "event": "unregistered", "repeatable": True,
             "count_own_events": True, "horizon": "210d"},
            "decides_outcome",
        ),
        (
            {"task": "churn", "event": "unregistered", "count_own_events": True, "horizon": "210d"},
            "own_event",
        ),
        ({"task": "conversion", "event": "submit_exam", "horizon": "210d"}, "decides_outcome"),
    ],
)  # fmt: skip
def test_on_the_open_university_unregistered_is_found_when_left_in(outcome, kind) -> None:
    body = {
        "name": "course",
        "events": {"path": str(OULAD)},
        "outcome": outcome,
        "as_of": ["2013-04-02", "2013-11-30", "2014-04-02", "2014-11-30"],
        "counts": [{"window": "180d"}],
    }
    with pytest.raises(LeakError) as caught:
        train(TrainingConfig.parse(body))
    assert (kind, "unregistered") in {(f.kind, f.event) for f in caught.value.findings}


@pytest.mark.skipif(not RETAIL.exists(), reason="CES_ML_TEST_DATA holds no such log")
def test_the_gift_shop_passes() -> None:
    body = {
        "name": "repurchase",
        "events": {"path": str(RETAIL)},
        "outcome": {"task": "conversion", "event": "order", "repeatable": True, "horizon": "90d"},
        "as_of": "every 28d from 2011-04-01 to 2011-09-10",
        "counts": [{"window": "90d"}],
    }
    assert train(TrainingConfig.parse(body)).audit.of("failure") == []
