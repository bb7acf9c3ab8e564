"""A database server as tracking store: tried once, and made by one process at a time."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["alone_in_database"]

_CONNECT_TIMEOUT_S = 5.0
_PORTS = {"postgresql": 5432, "mysql": 3306, "mariadb": 3306, "mssql": 1433}
#: Any number that no other program's lock is likely to have.
_LOCK_KEY = 0x6365735F6D6C


@contextmanager
def alone_in_database(uri: str) -> Iterator[None]:
    """Connect to the database of `uri` once, and hold a lock in it where it is PostgreSQL.

    MLflow would try ten times over two minutes before it tells a failure; and two processes that
    make its tables at once break them.

    Parameters
    ----------
    uri : str
        Address as SQLAlchemy reads it.

    Raises
    ------
    Exception
        Whatever the driver raises, within seconds where nobody answers.
    """
    sqlalchemy = importlib.import_module("sqlalchemy")
    url = sqlalchemy.engine.make_url(uri)
    kind = url.get_backend_name()
    engine = sqlalchemy.create_engine(
        url, poolclass=sqlalchemy.pool.NullPool, isolation_level="AUTOCOMMIT"
    )
    port = url.port or _PORTS.get(kind)
    if url.host and port and "," not in url.host:
        socket.create_connection((url.host, port), timeout=_CONNECT_TIMEOUT_S).close()
    with engine.connect() as connection:
        if kind == "postgresql":
            connection.execute(sqlalchemy.text("SET lock_timeout = '180s'"))
            lock = sqlalchemy.text("SELECT pg_advisory_lock(:key)")
            connection.execute(lock, {"key": _LOCK_KEY})
        yield
