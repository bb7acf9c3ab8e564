"""HTML pages out of templates: every value is escaped, whatever text it holds."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from ces_ml.report.plain_text import visible

__all__ = ["rendered"]

_LONGEST_NAME = 80


def rendered(template: str, **values: Any) -> str:
    """Return the page of a template, such as ``"card"``, with `values` escaped in it.

    Templates may write ``| name`` for a text that is shown whatever it holds, at most 80
    characters of it, and ``| n`` for a number with commas. A value that is missing is an error.
    """
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    environment.filters["name"] = lambda text: visible(text, _LONGEST_NAME)
    environment.filters["n"] = lambda number: f"{number:,}"
    source = files("ces_ml.report").joinpath(f"templates/{template}.html.j2").read_text("utf-8")
    return environment.from_string(source).render(**values)
