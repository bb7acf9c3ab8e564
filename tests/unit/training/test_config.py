import pytest

from ces_ml.errors import ConfigError, SpecError
from ces_ml.training import TrainingConfig
from ces_ml.training.config import AlphaByFolds

GOOD = {
    "name": "churn",
    "outcome": {"task": "churn", "silence_of": "*", "horizon": "28d", "active_within": "90d"},
    "as_of": "2025-01-01",
    "counts": [{"window": "90d"}],
}


def yaml_with(**changes: str) -> str:
    lines = {
        "name": "churn",
        "outcome": '{task: churn, silence_of: "*", horizon: 28d, active_within: 90d}',
        "as_of": "2025-01-01",
        "counts": "[{window: 90d}]",
    } | changes
    return "\n".join(f"{k}: {v}" for k, v in lines.items())


def test_dates_that_yaml_reads_as_dates_are_taken() -> None:
    config = TrainingConfig.from_yaml(yaml_with(as_of="[2025-02-01, 2025-01-01T12:00:00Z]"))
    assert config.as_of == ("2025-02-01", "2025-01-01T12:00:00+00:00")


def test_the_digest_ignores_places_and_sees_everything_else() -> None:
    base = TrainingConfig.from_yaml(yaml_with())
    moved = TrainingConfig.from_yaml(
        yaml_with(events="{path: elsewhere.parquet}", tracking="{experiment: other}")
    )
    assert moved.digest == base.digest
    changes = {
        "model": "{alpha: 0.1}",
        "seed": "1",
        "counts": "[{window: 91d}]",
        "events": "{customer_col: user}",
        "split": "{test_share: 0.2}",
        "score": "{scale: min_max}",
        "points": "{at_most: 3}",
    }
    unpriced = TrainingConfig.from_yaml(yaml_with(model="{price_of_rules: false}"))
    assert unpriced.digest == base.digest
    others = {TrainingConfig.from_yaml(yaml_with(**{k: v})).digest for k, v in changes.items()}
    assert len(others | {base.digest}) == len(changes) + 1


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.5", 0.5),
        ("1e-3", 1e-3),
        ("0", 0.0),
        ("auto", AlphaByFolds()),
        ("{}", AlphaByFolds()),
        (
            "{choose: one_standard_error, folds: 3}",
            AlphaByFolds(choose="one_standard_error", folds=3),
        ),
    ],
)
def test_alpha_is_a_number_or_a_way_to_choose_one(written: str, meant: object) -> None:
    config = TrainingConfig.from_yaml(yaml_with(model=f"{{alpha: {written}}}", points="{}"))
    assert config.model.alpha == meant
    assert TrainingConfig.parse(config.model_dump(mode="json")) == config
    short = config.model_dump(mode="json", exclude_defaults=True)
    assert TrainingConfig.parse(short) == config


def test_paths_are_relative_to_the_configuration_file(tmp_path) -> None:
    file = tmp_path / "deep" / "churn.yaml"
    file.parent.mkdir()
    file.write_text(yaml_with(events="{path: ../log/*.parquet}"))
    path = TrainingConfig.from_file(file).events.path
    assert path == str(tmp_path / "deep" / "../log/*.parquet")


@pytest.mark.parametrize(
    ("text", "match"),
    [
        (yaml_with(modle="{alpha: 1}"), r"unknown key(.|\n)*mean 'model'"),
        (yaml_with(model="{rule: [a >= 0]}"), r"unknown key(.|\n)*mean 'rules'"),
        (yaml_with(counts="[{windw: 90d}]"), r"unknown key(.|\n)*mean 'window'"),
        (yaml_with(events="{customr_col: a}"), r"unknown key(.|\n)*mean 'customer_col'"),
        (yaml_with(counts="[{window: 90}]"), r"not a duration(.|\n)*for example 90d"),
        (yaml_with(counts="[]"), "counts"),
        (yaml_with(as_of="soon"), "not a moment in time"),
        (yaml_with(as_of="every 28d from 2025-02-01 to 2025-01-01"), "empty or endless"),
        (yaml_with(outcome="{task: churn, horizon: 28d}"), "cancellation event or silence"),
        (yaml_with(outcome="{task: churned, horizon: 28d}"), r"(.|\n)*did you mean 'churn'"),
        (yaml_with(name="a/b"), "the weight set can't have this name"),
        (yaml_with(model="{alpha: -1}"), r"alpha: the strength(.|\n)*`auto`"),
        (yaml_with(model="{alpha: .inf}"), r"alpha: the strength(.|\n)*`auto`"),
        (yaml_with(model="{alpha: yes}"), r"alpha: the strength(.|\n)*`auto`"),
        (yaml_with(model="{alpha: atuo}"), r"alpha: the strength(.|\n)*'atuo'"),
        (yaml_with(model="{alpha: {chose: best}}"), r"unknown key(.|\n)*mean 'choose'"),
        (yaml_with(model="{alpha: {choose: bst}}"), r"choose has a value(.|\n)*mean 'best'"),
        (yaml_with(model="{alpha: {folds: 1}}"), "alpha: folds has a value"),
        (
            yaml_with(points="{range: [1, 5]}"),
            "points: range: the range of the points does not lie",
        ),
        (yaml_with(points="{range: [0, 0]}"), "the range of the points does not lie around 0"),
        (yaml_with(points="{range: [-5]}"), r"range\[1\] is missing"),
        (yaml_with(points="{at_most: 0}"), "at_most has a value that is not allowed"),
        (yaml_with(points="{rnge: [-5, 5]}"), r"unknown key(.|\n)*mean 'range'"),
        (yaml_with(model="{prior_strength: 1}"), "but there are none"),
        (yaml_with(split="{test_share: 1.5}"), "test_share has a value that is not allowed"),
        (yaml_with() + "\nname: again", r"written twice(.|\n)*line 5"),
        ("name: [", "is not YAML"),
        ("name: x\nfoo: [1, 2\n", r"got:     while parsing a flow sequence at line 2, column 6"),
        (yaml_with() + "\nmodle: {}", r"unknown key in the configuration\n(.|\n)*mean 'model'"),
        ("- a list", "is not a mapping"),
        ("", "is not a mapping"),
        ("name: churn", "is missing"),
        ("name: !!python/object/apply:os.system ['true']", "is not YAML"),
    ],
)
def test_a_bad_configuration_is_refused_in_words(text: str, match: str) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        TrainingConfig.from_yaml(text)
    assert caught.value.got
    assert caught.value.allowed
    assert caught.value.hint


def test_a_configuration_that_is_not_there_is_refused(tmp_path) -> None:
    with pytest.raises(ConfigError, match="can't be read"):
        TrainingConfig.from_file(tmp_path / "none.yaml")


def test_a_configuration_survives_a_round_trip() -> None:
    config = TrainingConfig.parse(GOOD)
    assert TrainingConfig.parse(config.model_dump(mode="json")) == config
