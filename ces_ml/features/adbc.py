"""An event log that is a query of a database, read through ADBC as a stream of Arrow batches."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import Field, SecretStr, field_validator

from ces_ml.errors import (
    CesError,
    EventLogError,
    MissingDependencyError,
    SpecError,
    did_you_mean,
    show,
)
from ces_ml.spec.model import SpecModel

__all__ = ["DRIVERS", "AdbcSource", "adbc_reader"]

#: Packages of drivers; each is installed by itself, the first with ``ces-ml[adbc]``.
DRIVERS = {
    "postgresql": "adbc_driver_postgresql",
    "snowflake": "adbc_driver_snowflake",
    "bigquery": "adbc_driver_bigquery",
    "flightsql": "adbc_driver_flightsql",
    "sqlite": "adbc_driver_sqlite",
}


class AdbcSource(SpecModel):
    """A query of a database as an event log.

    The query runs once, when the log is opened; its result is kept by DuckDB, in memory or, past
    its limit, on disk. Let the query choose columns and rows: ``SELECT user_id, event, at FROM …
    WHERE at >= …``. Addresses and options never show in errors, logs or tracked runs.

    Parameters
    ----------
    driver : {"postgresql", "snowflake", "bigquery", "flightsql", "sqlite"}
        PostgreSQL comes with ``pip install 'ces-ml[adbc]'`` and is what the tests run; the others
        with their own packages, for example ``adbc-driver-snowflake``.
    query : str
        One SELECT in the database's own SQL.
    uri : str, optional
        Where the database is, for example ``postgresql://user@host/name``.
    uri_env : str, optional
        Name of the environment variable that holds the address; better than `uri` where it holds a
        password.
    options : dict of str to str, optional
        The driver's own options, for example ``adbc.bigquery.sql.project_id``.
    options_env : dict of str to str, optional
        The same, each value the name of an environment variable.

    Examples
    --------
    >>> source = AdbcSource(driver="postgresql", uri="postgresql://me:secret@db/shop",
    ...                     query="SELECT * FROM events")
    >>> source.described
    'postgresql: SELECT * FROM events'
    >>> "secret" in repr(source)
    False
    """

    driver: str
    query: str = Field(min_length=1)
    uri: SecretStr | None = None
    uri_env: str | None = None
    options: dict[str, SecretStr] = Field(default_factory=dict)
    options_env: dict[str, str] = Field(default_factory=dict)

    @field_validator("uri", "options", mode="before")
    @classmethod
    def _as_text(cls, value: Any) -> Any:
        # A number would be refused with an error that shows it.
        if isinstance(value, dict):
            return {k: v if isinstance(v, str | SecretStr) else str(v) for k, v in value.items()}
        return value if value is None or isinstance(value, str | SecretStr) else str(value)

    def model_post_init(self, context: object) -> None:
        """Refuse unknown drivers, and two addresses."""
        if self.driver not in DRIVERS:
            raise SpecError(
                "unknown ADBC driver",
                got=show(self.driver),
                allowed=did_you_mean(self.driver, DRIVERS),
                hint="correct the driver",
            )
        if self.uri is not None and self.uri_env is not None:
            raise SpecError(
                "the address of the database is given twice",
                got="uri and uri_env",
                allowed="one of them",
                hint="keep uri_env where the address holds a password",
            )
        if not (self.uri or self.uri_env or self.options or self.options_env):
            raise SpecError(
                "the database has no address",
                got="neither uri nor uri_env nor options",
                allowed="one of them",
                hint="name the environment variable with the address as uri_env",
            )

    @property
    def described(self) -> str:
        """Driver and query, without the address."""
        return f"{self.driver}: {' '.join(self.query.split())[:200]}"

    def connection(self) -> tuple[str | None, dict[str, str]]:
        """Return the address and the options, secrets in the clear.

        Raises
        ------
        SpecError
            If an environment variable is not set.
        """
        uri = self.uri.get_secret_value() if self.uri else None
        if self.uri_env is not None:
            uri = _variable(self.uri_env)
        options = {k: v.get_secret_value() for k, v in self.options.items()}
        options |= {k: _variable(v) for k, v in self.options_env.items()}
        return uri, options


def _variable(name: str) -> str:
    value = os.environ.get(name, "")
    if not value:
        raise SpecError(
            "an environment variable of the database's address is not set",
            got=f"{name} is empty",
            allowed="a variable that holds the address",
            hint=f"export {name}=… before you start the job",
        )
    return value


@contextmanager
def adbc_reader(source: AdbcSource) -> Iterator[Any]:
    """Run the query of a source and yield its result as a ``pyarrow.RecordBatchReader``.

    Raises
    ------
    MissingDependencyError
        If the driver is not installed.
    EventLogError
        If the database can't be reached or refuses the query; secrets are masked.
    """
    uri, options = source.connection()
    dbapi = _driver(source.driver)
    hidden = secrets_of([*([uri] if uri else []), *options.values()])
    try:
        arguments = (uri,) if uri else ()
        with (
            dbapi.connect(*arguments, db_kwargs=options or None) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(source.query)
            with cursor.fetch_record_batch() as reader:
                yield reader
    except CesError:
        raise
    except Exception as error:  # the driver's own, Arrow's, or DuckDB's as it reads the stream
        # Not `from error`: its text may hold the address with its password.
        raise EventLogError(
            "the database can't be read",
            got=f"{source.driver}: {masked(str(error), hidden)[:400]}",
            allowed="an address that can be reached and a query that it answers",
            hint="check uri or uri_env, and run the query by itself",
        ) from None


def _driver(driver: str) -> Any:
    package = DRIVERS[driver]
    try:
        return importlib.import_module(f"{package}.dbapi")
    except ImportError as error:
        name = package.replace("_", "-")
        extra = "'ces-ml[adbc]'" if driver == "postgresql" else name
        raise MissingDependencyError(
            f"the ADBC driver for {driver} is not installed",
            got=f"no package {name}",
            allowed=name,
            hint=f"pip install {extra}",
        ) from error


def secrets_of(texts: Iterable[str]) -> list[str]:
    """Return what must not be shown of addresses and option values, longest first.

    Of an address all but host, port and database are secret: user, password, and the values of
    parameters. Of a text that is no address, every word is.

    Examples
    --------
    >>> hidden = secrets_of(["postgresql://anna:s%40crt@db.local/shop"])
    >>> "s@crt" in hidden, "anna" in hidden, "db.local" in hidden
    (True, True, False)
    """
    found: set[str] = set()
    for text in texts:
        found.add(text)
        shown: set[str] = set()
        try:
            parts = urlsplit(text)
            if parts.scheme and parts.hostname:
                shown = {parts.scheme, parts.hostname, str(parts.port), *parts.path.split("/")}
            found |= {parts.password or text, unquote(parts.password or text)}
        except ValueError:  # a bracket or port that can't be one: no address
            pass
        words = {w for w in re.split(r"[\s:/?&=@,;'\"]+", text) if w not in shown}
        found |= {w for word in words for w in (word, unquote(word)) if len(w) >= 3}
    return sorted(found, key=lambda w: (-len(w), w))


def masked(text: str, secrets: Iterable[str]) -> str:
    """Return `text` on one line with every secret as ``***``.

    Examples
    --------
    >>> masked("no user me at db", ["me"])
    'no user *** at db'
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    return " ".join(text.split())
