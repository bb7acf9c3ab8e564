"""A run that is to be logged: everything that is sent, and the folder that it is kept in.

The folder holds JSON and plain files that a person can read: ``run.json``, ``weights.json``, and
below ``files`` what becomes the run's artifacts. There is no pickle, and no password.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
import uuid
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ces_ml.errors import CesError, TrackingError, show
from ces_ml.tracking.explain import without_password
from ces_ml.tracking.flavor import PAYLOAD
from ces_ml.tracking.record import RunRecord, check_artifact_path
from ces_ml.weights import WeightSet

__all__ = ["LOG_ID_TAG", "PendingRun", "read_pending", "write_pending"]

#: Tag of a run; a run that is logged again after a failure has the same.
LOG_ID_TAG = "ces.log_id"
RUN_FILE, FILES = "run.json", "files"


@dataclass(frozen=True)
class PendingRun:
    """A run that is to be logged.

    Parameters
    ----------
    weight_set : WeightSet or None
        None for a run that only stands above others.
    record : RunRecord
        Parameters, metrics, tags and files.
    run_name, experiment : str
    register_as : str or None
        Name of the registered model that gets a new version.
    store : str
        URI of the store that was meant, without its password.
    log_id : str
        Names this run whatever store it reaches, and however often it is tried.
    started_ms : int
        When the fit was ready to be logged, in milliseconds since 1970 (UTC).
    error : str
        Why it was not logged; empty before the first try.
    again : bool
        Whether it was tried before.
    """

    weight_set: WeightSet | None
    record: RunRecord
    run_name: str
    experiment: str
    register_as: str | None
    store: str
    log_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    started_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    error: str = ""
    again: bool = False

    @property
    def started(self) -> datetime:
        """When the fit was ready to be logged."""
        return datetime.fromtimestamp(self.started_ms / 1000, UTC)

    def without(self, secret_uri: str) -> PendingRun:
        """Return the run with the address `secret_uri` written without its password."""
        public = without_password(secret_uri)
        if public == secret_uri:
            return self
        # Of the record, texts are walked; figures can't hold an address that anybody could read.
        old, new = secret_uri, public
        changed: dict[str, Any] = {
            f.name: {k: v.replace(old, new) if isinstance(v, str) else v for k, v in part.items()}
            for f in fields(self.record)
            if f.name != FILES and isinstance(part := getattr(self.record, f.name), dict)
        }
        changed[FILES] = {
            path: content.replace(old.encode(), new.encode())
            for path, content in self.record.files.items()
        }
        return replace(self, record=replace(self.record, **changed))


_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _RunFile(BaseModel):
    """What stands in ``run.json``."""

    model_config = ConfigDict(extra="forbid", strict=True)
    format: Literal[1]
    log_id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    run_name: str
    experiment: str
    register_as: str | None
    store: str
    started_ms: int
    started: str
    error: str
    record: dict[str, Any]
    files: dict[str, _Digest]
    weights: bool = True


def write_pending(run: PendingRun, folder: Path) -> None:
    """Write the run to `folder`, whole or not at all.

    Raises
    ------
    OSError
        If it can't be written.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    writing = folder.with_name(f".writing-{folder.name}")
    try:
        writing.mkdir()
        if run.weight_set is not None:
            _write(writing / PAYLOAD, run.weight_set.to_json().encode())
        for path, content in run.record.files.items():
            _write(writing / FILES / path, content)
        record = TypeAdapter(RunRecord).dump_python(run.record, exclude={FILES})
        body = _RunFile(
            format=1,
            log_id=run.log_id,
            run_name=run.run_name,
            experiment=run.experiment,
            register_as=run.register_as,
            store=without_password(run.store),
            started_ms=run.started_ms,
            started=run.started.isoformat(timespec="seconds"),
            error=without_password(run.error),
            record=record,
            files={p: hashlib.sha256(c).hexdigest() for p, c in run.record.files.items()},
            weights=run.weight_set is not None,
        )
        text = json.dumps(
            body.model_dump(exclude_defaults=True), indent=2, ensure_ascii=True, allow_nan=False
        )
        _write(writing / RUN_FILE, text.encode())
        os.rename(writing, folder)
    finally:
        shutil.rmtree(writing, ignore_errors=True)


def read_pending(folder: Path) -> PendingRun:
    """Return the run that is kept in `folder`; weights and files are checked against their digest.

    Raises
    ------
    TrackingError
        If something is missing, edited or of another version.
    """
    try:
        body = _RunFile.model_validate_json((folder / RUN_FILE).read_bytes())
        files = {path: _checked(folder, path, digest) for path, digest in body.files.items()}
        record = TypeAdapter(RunRecord).validate_python({**body.record, FILES: files})
        weight_set = WeightSet.load(folder / PAYLOAD) if body.weights else None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _unreadable(folder, f"{where}: {first['msg']}") from error
    except CesError as error:
        raise _unreadable(folder, error.problem) from error
    except (OSError, ValueError) as error:
        raise _unreadable(folder, str(error)) from error
    return PendingRun(
        weight_set=weight_set,
        record=record,
        run_name=body.run_name,
        experiment=body.experiment,
        register_as=body.register_as,
        store=body.store,
        log_id=body.log_id,
        started_ms=body.started_ms,
        error=body.error,
        again=True,
    )


def _write(path: Path, content: bytes) -> None:
    """Write and reach the disk: the run is told as kept once this is through."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _checked(folder: Path, path: str, digest: str) -> bytes:
    check_artifact_path(path)
    content = (folder / FILES / path).read_bytes()
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError(f"{FILES}/{path} was changed after it was written")
    return content


def _unreadable(folder: Path, why: str) -> TrackingError:
    return TrackingError(
        "a kept run can't be read",
        got=f"{show(str(folder), 200)}: {why}",
        allowed="a folder as this version of ces-ml wrote it, unchanged",
        hint=f"look whether `ces-ml show` still reads its {PAYLOAD}, and move the folder away",
    )
