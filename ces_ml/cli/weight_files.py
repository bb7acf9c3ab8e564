"""The commands ``ces-ml show`` and ``ces-ml export``: weights to look at, weights to hand on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.text import Text
from typer.core import TyperCommand, TyperOption

from ces_ml.cli.app import Store, Weights, app, out, reported
from ces_ml.errors import SpecError

__all__ = ["export", "show"]


@app.command(
    epilog="Examples:\n\n  ces-ml show weights.json\n\n  ces-ml show models:/churn@champion "
    "--store mlflow.db"
)
@reported
def show(weights: Weights, store: Store = None) -> None:
    """Print the weights of a weight set, with points, rules, bands and held-out metrics."""
    from ces_ml.cli.tables import print_weight_set
    from ces_ml.tracking import load_weight_set

    print_weight_set(out, load_weight_set(weights, store))


#: Options of SQL that are options of the command, too.
_OF_SQL = ("dialect", "shape", "events_table")


class _Export(TyperCommand):
    """Says in its help which formats there are and what each takes, as they declare it."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help, with what the formats declare."""
        from ces_ml.formats import FORMATS

        lines = []
        for name, format in FORMATS.items():
            lines.append(f"--format {name}: {format.consumer}")
            lines += [f"· {option}: {words}" for option, words in format.options.items()]
        for option in self.params:
            if isinstance(option, TyperOption) and option.name in _OF_SQL:
                option.help = f"With --format sql: {FORMATS['sql'].options[option.name]}."
        self.epilog = "\n\n".join(
            [_EXAMPLES, "Formats, and what --option NAME=VALUE may name:", *map(escape, lines)]
        )
        super().format_help(ctx, formatter)


_EXAMPLES = (
    "Examples:\n\n  ces-ml export models:/churn@champion -o churn.json\n\n  "
    "ces-ml export RUN --format json -o weights.json --store mlflow.db\n\n  "
    "ces-ml export weights.json --format sql --dialect postgresql --shape view "
    "--events-table analytics.events -o score.sql\n\n  "
    "ces-ml export weights.json --format sql --option as_of=2025-06-01 -o score.sql"
)


@app.command(cls=_Export)
@reported
def export(
    weights: Weights,
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write.")],
    format: Annotated[str, typer.Option(help="Format of the export; they stand below.")] = "json",
    option: Annotated[
        list[str] | None,
        typer.Option("--option", metavar="NAME=VALUE", help="An option of the format; repeatable."),
    ] = None,
    dialect: Annotated[str | None, typer.Option(help="With --format sql: the database.")] = None,
    shape: Annotated[
        str | None, typer.Option(help="With --format sql: what is made of it.")
    ] = None,
    events_table: Annotated[str | None, typer.Option(help="With --format sql: the log.")] = None,
    store: Store = None,
) -> None:
    """Write weights in a form that another scorer reads."""
    from ces_ml.formats import export as write
    from ces_ml.tracking import load_weight_set

    options = _options(option or [])
    named = {"dialect": dialect, "shape": shape, "events_table": events_table}
    options |= {name: value for name, value in named.items() if value is not None}
    weight_set = load_weight_set(weights, store)
    written = write(weight_set, output, format, **options)
    out.print(Text(f"weights written to {written}"), soft_wrap=True)
    out.print(f"[dim]{weight_set.fingerprint}[/dim]", soft_wrap=True)


def _options(texts: list[str]) -> dict[str, str]:
    """Return options by name; the exporters read their values from text."""
    options = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name or name in ("path", "format", "weight_set"):
            raise SpecError(
                "an option of the export is not NAME=VALUE",
                got=repr(text),
                allowed="for example --option dialect=postgresql",
                hint="correct the option; the format is given with --format",
            )
        options[name] = value
    return options
