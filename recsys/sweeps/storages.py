"""Where studies are kept: a journal, an SQLite file or a server's database; opened, checked, and closed again."""

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recsys.types import RecsysError
from recsys.types.secrets import mask_url_secrets

if TYPE_CHECKING:
    from optuna.storages import BaseStorage, RDBStorage
    from sqlalchemy import Engine

LogFunction = Callable[[str], None]
RETRY_PAUSES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # seconds between tries, where another process makes the same tables
RACE_MESSAGES = (
    "already exists",
    "locked",
    "unique",
    "duplicate",
)  # said of tables and rows that another process has just made
LOST_CONNECTIONS = ("ConnectionError", "TimeoutError")  # of Redis's client
KINDS = "sqlite, postgresql, mysql, redis and others that Optuna takes"  # of databases
SQLITE_TIMEOUT = 60  # seconds that a trial waits for a write of another process to an SQLite file


def check_shared_storage(where: str, jobs: int) -> None:
    """Refuse a storage of one process for several jobs.

    Raises:
        RecsysError: where it is in memory.
    """
    if jobs > 1 and where.startswith("sqlite") and where.partition("://")[2] in ("", "/", "/:memory:"):
        raise RecsysError(
            f"jobs is {jobs}: storage {where} is in the memory of one process, expected a file or a server"
        )


@contextmanager
def open_storage(where: str, log_line: LogFunction) -> Iterator["BaseStorage"]:
    """Yield the storage in a .journal, .log or .db file, or at the URL of a database; close it at the end.

    A line of a journal that was cut is dropped, and `log_line` is told.

    Raises:
        RecsysError: in one line, without passwords, for a storage that cannot be opened or used, or that is damaged.
    """
    import optuna
    from sqlalchemy.exc import SQLAlchemyError

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with _shorten_errors(where, Exception):  # each database has errors of its own
        storage = _connect_storage(where, log_line)
    try:
        with _shorten_errors(where, SQLAlchemyError, optuna.exceptions.OptunaError, *_list_redis_errors(where)):
            yield storage
    finally:
        storage.remove_session()
        if isinstance(storage, optuna.storages.RDBStorage):
            storage.engine.dispose()


@contextmanager
def shorten_read_errors(where: str) -> Iterator[None]:
    """Turn whatever a damaged storage does to its reader into one line."""
    with _shorten_errors(where, Exception):
        yield


@contextmanager
def _shorten_errors(where: str, *errors: type[Exception]) -> Iterator[None]:
    try:
        yield
    except RecsysError:
        raise
    except errors as error:
        raise RecsysError(f"storage {where}: {mask_url_secrets(_describe_error(error), url=where)}") from None


def _list_redis_errors(where: str) -> tuple[type[Exception], ...]:
    """Return the errors of Redis's client, which neither Optuna nor SQLAlchemy wraps."""
    if not where.startswith("redis"):
        return ()
    from redis.exceptions import RedisError

    return (RedisError,)


def _describe_error(error: Exception) -> str:
    """Return what is wrong with a storage, and what is expected of it."""
    from optuna.exceptions import StorageInternalError
    from sqlalchemy.exc import DBAPIError, NoSuchModuleError

    cause = error
    while isinstance(cause, StorageInternalError | ImportError) and isinstance(cause.__cause__, Exception):
        cause = cause.__cause__  # what Optuna says of it leaves out the reason
    if isinstance(cause, ImportError):
        return f"the package {cause.name or cause} is not installed, expected that of the URL's database"
    if isinstance(cause, NoSuchModuleError):
        return f"no such kind of database, expected one of {KINDS}"
    said = str(cause.orig if isinstance(cause, DBAPIError) else cause).strip().partition("\n")[0]
    if getattr(cause, "connection_invalidated", False) or type(cause).__name__ in LOST_CONNECTIONS:
        return f"{said.rstrip('.')}: the server does not answer, expected one that does; trials that ended are kept"
    return f"{said or type(cause).__name__}, expected one that sweeps made, or none yet"


def _connect_storage(where: str, log_line: LogFunction) -> "BaseStorage":
    from optuna.exceptions import ExperimentalWarning
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalRedisBackend

    from recsys.sweeps.journals import Journal

    path = Path(where)
    if where.startswith("redis"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return JournalStorage(JournalRedisBackend(where))
    if "://" in where:
        return _open_database(where)
    if path.suffix not in (".journal", ".log", ".db"):
        raise RecsysError(f"storage is '{where}', expected a .journal, .log or .db file, or the URL of a database")
    if path.exists() and not path.is_file():
        raise RecsysError(f"storage {where}: is no file, expected one that sweeps made, or none yet")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".db":
        return _open_database(f"sqlite:///{path.resolve()}")
    journal = Journal(path)
    dropped = journal.repair()
    if dropped:
        log_line(dropped)
    return JournalStorage(journal)


def _open_database(url: str) -> "RDBStorage":
    """Return the database at a URL. Where another process is making its tables, try again."""
    from optuna.storages import RDBStorage
    from sqlalchemy import create_engine
    from sqlalchemy.exc import SQLAlchemyError
    from sqlalchemy.pool import NullPool

    sqlite = url.startswith("sqlite")  # no pool of connections: whatever fails, each is closed when it has been used
    settings: dict[str, Any] = {"connect_args": {"timeout": SQLITE_TIMEOUT}, "poolclass": NullPool} if sqlite else {}
    if sqlite:
        _check_sqlite(create_engine(url, **settings))
    for pause in RETRY_PAUSES:
        try:
            return RDBStorage(url, engine_kwargs=settings)
        except (SQLAlchemyError, AssertionError) as error:  # asserted: what another process is about to add
            if str(error) and not any(word in str(error).lower() for word in RACE_MESSAGES):
                raise
            time.sleep(pause)
    return RDBStorage(url, engine_kwargs=settings)


def _check_sqlite(engine: "Engine") -> None:
    with engine.connect() as connection:
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar()
        strays = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if found != "ok" or strays:
        raise ValueError(f"damaged: {found if found != 'ok' else 'it has rows of trials that are none'}")
