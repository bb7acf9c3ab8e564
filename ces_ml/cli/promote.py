"""The command ``ces-ml promote``: an alias moves to the weights of a run, if the rules hold."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from ces_ml.cli.app import Store, app, out, progress_bar, reported

__all__ = ["promote"]


@app.command(
    epilog="Examples:\n\n  ces-ml promote 0123456789abcdef0123456789abcdef\n\n  "
    "ces-ml promote RUN --name churn --alias challenger --reason 'new campaign events'\n\n  "
    "ces-ml promote RUN --config churn.yaml --override 'pilot with one team'\n\n"
    "The rules stand in the section `promotion` of the configuration; the run has kept the one it "
    "was trained with."
)
@reported
def promote(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Id of the MLflow run.")],
    name: Annotated[
        str | None,
        typer.Option(help="Registered model.", show_default="the name of the weight set"),
    ] = None,
    alias: Annotated[str, typer.Option(help="Alias that is moved.")] = "champion",
    reason: Annotated[str | None, typer.Option(help="Why; kept in the history.")] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="Rules and log.", show_default="the configuration the run has kept"),
    ] = None,
    events: Annotated[
        str | None, typer.Option(help="The log, where the configuration's is not the one.")
    ] = None,
    override: Annotated[
        str | None,
        typer.Option(help="Why the alias moves although a rule does not hold; kept with who."),
    ] = None,
    store: Store = None,
) -> None:
    """Point an alias at the weights of a run, if every rule of the gate holds."""
    from ces_ml.cli.comparison_tables import print_rules
    from ces_ml.cli.tables import plain, print_next
    from ces_ml.tracking.gate import check_override
    from ces_ml.training import TrainingConfig, judge_promotion
    from ces_ml.training.promoting import carry_out

    check_override(override)
    asked = None if config is None else TrainingConfig.from_file(config)
    with progress_bar(2) as progress:
        judged = judge_promotion(
            run, name, alias, config=asked, events=events, store=store, progress=progress
        )
    if judged.results:
        print_rules(out, judged.results, judged.rules_of)
    done = carry_out(judged, reason, override)
    state = "is now" if done.moved else "is already"
    out.print(Text.assemble(plain(judged.name), f"@{alias} {state} version {done.version}"))
    verdict = judged.weight_set.verdict
    words = verdict.words if verdict else "none, these weights were never compared with counting"
    out.print(Text.assemble("verdict: ", plain(words, 120)))
    at = f" --store {shlex.quote(store)}" if store else ""
    ref = shlex.quote(f"models:/{judged.name}@{alias}")
    print_next(
        out,
        [
            ("score customers", f"ces-ml score {ref} EVENTS -o scores.parquet{at}"),
            ("hand the weights on", f"ces-ml export {ref} -o weights.json{at}"),
            ("what was here before", f"ces-ml history {shlex.quote(judged.name)}{at}"),
        ],
    )
