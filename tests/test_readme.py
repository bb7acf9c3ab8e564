"""The README is true: its code runs, its commands work, its numbers are what they give."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from ces_ml.cli.main import app
from ces_ml.spec import CountRule, OutcomeSpec
from ces_ml.spec.measures import MEASURES
from ces_ml.training import TrainingConfig

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, flags=re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("console") for line in block.splitlines()]
    words = [shlex.split(line.removeprefix("$ "), comments=True) for line in lines]
    return [w[1:] for w in words if w[0] == "ces-ml"]


def test_the_python_example_runs_and_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    (example,) = blocks("python")
    assert len([line for line in example.splitlines() if line.strip()]) <= 15
    names: dict[str, object] = {}
    exec(compile(example, "README", "exec"), names)
    assert "demo_booked" in capsys.readouterr().out
    assert (tmp_path / "weights.json").exists()
    assert (tmp_path / "mlflow.db").exists()
    assert len(names["scores"]) == 5000


def test_the_yaml_examples_are_valid_configurations() -> None:
    for example in blocks("yaml"):
        config = TrainingConfig.from_yaml(example)
        assert yaml.safe_load(example)["name"] == config.name


def test_the_reference_of_configurations_names_every_key() -> None:
    reference = yaml.safe_load(blocks("yaml")[-1])
    config = TrainingConfig.parse(reference)
    assert set(reference) == set(TrainingConfig.model_fields)
    for section in (
        "events",
        "outcome",
        "model",
        "split",
        "score",
        "audit",
        "points",
        "evaluation",
        "backtest",
        "promotion",
        "tracking",
    ):
        assert set(reference[section]) == set(type(getattr(config, section)).model_fields)
    keys = {field.alias or name for name, field in CountRule.model_fields.items()}
    assert set(reference["counts"][0]) == keys
    assert set(reference["model"]["alpha"]) == set(type(config.model.alpha).model_fields)


def rows_of(heading: str) -> list[str]:
    """The first cells of the table under a heading, without their code marks."""
    section = README.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"^\| `(\{.*?\})` \|", section, flags=re.MULTILINE)


def test_the_lines_of_the_tables_are_valid() -> None:
    counts = [CountRule.parse(yaml.safe_load(row)) for row in rows_of("What is counted")]
    assert {rule.measure for rule in counts} == set(MEASURES)
    outcomes = [OutcomeSpec.parse(yaml.safe_load(row)) for row in rows_of("Outcomes")]
    assert {o.task for o in outcomes} == {"conversion", "churn", "upsell", "cross_sell"}


def test_every_command_with_a_store_names_that_of_the_demonstration() -> None:
    needs_one = ("promote", "history", "rollback", "ui")
    for words in commands():
        named = words[words.index("--store") + 1] if "--store" in words else None
        assert named in (None, "ces-ml-demo/mlflow.db"), words
        assert named or not (words[0] in needs_one or any("models:/" in w for w in words)), words


@pytest.mark.slow
def test_the_commands_work_after_the_demonstration_and_its_numbers_are_those_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    runner = CliRunner()
    done = runner.invoke(app, ["demo"])
    assert done.exit_code == 0, done.output
    for name in ("coupon conversion", "churn"):
        row = re.search(rf"\| {name}: .*?\| \*\*(.*?)\*\* \| (.*?) \| (.*?) \|", README)
        shown = [float(v) for v in row.groups()]
        section = done.output.split(name.replace(" ", "_"), 1)[1]
        found = [
            float(re.search(rf"{words}\s+│\s+([\d.]+)", section)[1])
            for words in ("learned weights", "total count", "equal weights")
        ]
        assert shown == found
        assert shown[0] > shown[1]
    shown = re.search(r"`(beats counting by .*?)`", README.replace("\n", " "))[1]
    assert f"verdict: {shown}" in done.output
    # What runs until it is stopped, or needs the id of a run or a promotion, is tested by itself.
    by_itself = ("ui", "serve", "demo", "promote", "rollback")
    ran = [words for words in commands() if words[0] not in by_itself]
    assert len(ran) >= 4
    for words in ran:
        done = runner.invoke(app, words)
        assert done.exit_code == 0, (words, done.output)
    assert Path("scores.parquet").exists()
    assert Path("scores.csv").exists()
    assert Path("weights.json").exists()
