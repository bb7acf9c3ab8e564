"""Names that may hold anything, as text that shows what they hold."""

from __future__ import annotations

import re

__all__ = ["markdown_text", "visible"]

#: Backslash and what starts markup in Markdown; an underscore between letters is no markup.
_MARKUP = re.compile(r"[\\`*\[\]|~$]|(?<![^\W_])_|_(?![^\W_])")


def visible(name: str, limit: int | None = None) -> str:
    r"""Return `name` with everything that does not print written as an escape.

    Parameters
    ----------
    name : str
        Any text.
    limit : int, optional
        Longest result; a longer one is cut and ends in ``…``.

    Examples
    --------
    >>> print(visible("two\nlines"), visible(""), visible("a long name", limit=7))
    two\nlines "" a long…
    """
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name) or '""'
    # Spaces at the ends, or several in a row, do not show.
    text = re.sub(r"^ +| +$| {2,}", lambda spaces: "␣" * len(spaces[0]), text)
    return text if limit is None or len(text) <= limit else text[: limit - 1] + "…"


def markdown_text(name: str) -> str:
    r"""Return `name` as Markdown that shows it literally, on one line, also inside a table.

    Examples
    --------
    >>> print(markdown_text("a|b <script> page_view"))
    a\|b &lt;script&gt; page_view
    """
    text = visible(name).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKUP.sub(lambda found: "\\" + found[0], text)
