"""Writing files so that an interrupted job leaves the old file or the new one, never half of it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ces_ml.errors import OutputError, show

__all__ = ["replacing", "write_text"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename it to `path` when the block succeeds.

    Parameters
    ----------
    path : path-like
        Where the finished file will stand. Its folder is made if it is not there.

    Yields
    ------
    pathlib.Path
        A path with the same suffix, in the same folder, to write to.

    Raises
    ------
    OutputError
        If the folder can't be made or the file can't be written; nothing is left behind.
    """
    target = Path(path)
    if "\0" in str(target):
        raise _unwritable(target, OSError("a null byte in the path"))
    try:
        if target.is_dir():
            raise OutputError(
                "the output path is a folder",
                got=show(str(target)),
                allowed="the path of a file",
                hint="add a file name to the path",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".writing-", suffix=target.suffix, dir=target.parent)
        os.close(handle)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _unwritable(target, error) from error
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        os.replace(temporary, target)
    except OSError as error:
        if isinstance(error, OutputError):
            raise
        raise _unwritable(target, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` as UTF-8 to `path`, whole or not at all, and return the path.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_text(f"{folder}/new/a.txt", "héllo").read_text(encoding="utf-8")
    'héllo'
    """
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(
        "the output can't be written",
        got=f"{show(str(target))}: {error.strerror or error}",
        allowed="a path in a folder that you may write to, on a disk with space left",
        hint="choose another output path",
    )
