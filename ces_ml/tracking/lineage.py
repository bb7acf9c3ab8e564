"""Which code a run came from: commit and state of a folder, asked of the ``git`` program."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

__all__ = ["git_tags"]

_TIMEOUT_S = 10.0
#: Nothing of the folder's own settings is run, no lock is taken, no question is asked.
_SAFELY = ("-c", "core.fsmonitor=false", "-c", "core.untrackedCache=false")
_QUIETLY = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def git_tags(folder: str | os.PathLike[str]) -> dict[str, str]:
    """Return the commit of a folder as tags of a run, and whether its files differ from it.

    MLflow looks at the main script's folder only, which for a command is where it is installed.

    Parameters
    ----------
    folder : str or path-like
        Any folder of a repository.

    Returns
    -------
    dict of str to str
        ``git.commit`` and ``git.dirty`` (``"true"`` where a file that git knows was changed; files
        that it does not know do not count), and ``mlflow.source.git.commit``, which MLflow's pages
        show. Empty where the folder is in no repository, the repository has no commit, belongs
        to somebody else, or there is no ``git``. Without ``git.dirty`` where git took too long
        to tell.
    """
    commit = _git(folder, "rev-parse", "--verify", "HEAD")
    if not commit:
        return {}
    tags = {"git.commit": commit, "mlflow.source.git.commit": commit}
    changed = _git(folder, "status", "--porcelain", "--untracked-files=no")
    if changed is not None:
        tags["git.dirty"] = "true" if changed else "false"
    return tags


def _git(folder: str | os.PathLike[str], *arguments: str) -> str | None:
    """Return what git prints, or None where it fails or is not there."""
    # A job that git itself has started (a hook) is told of another repository.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    try:
        done = subprocess.run(  # noqa: S603  - arguments as a list, nothing from outside
            ["git", *_SAFELY, *arguments],  # noqa: S607  - the user's own git
            cwd=Path(folder),
            env={**environment, **_QUIETLY},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "replace").strip()
