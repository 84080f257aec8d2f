"""Choose the local store or the user's MLflow server, and connect with a client whose waits have an end.

MLflow is imported only to connect: that takes seconds and 70 MB, which a process that only says where things go saves.
"""

import contextlib
import functools
import logging
import os
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from components.common.address import Address
from components.common.console import make_logs_printable
from components.common.files import locked
from components.common.revision import WORKING_TREE
from components.common.threads import within
from dualgan.errors import BadInput, DualGANError

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

TRACKING_VARIABLE = "MLFLOW_TRACKING_URI"
USERNAME_VARIABLE, PASSWORD_VARIABLE = "MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"

# MLflow's own defaults let one call wait minutes for a server that is down, and as long as a server likes for one that
# answers "Retry-After"; and they print addresses of runs and bars.
CLIENT_SETTINGS = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
    "MLFLOW_HTTP_RESPECT_RETRY_AFTER_HEADER": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "PGCONNECT_TIMEOUT": "10",
}
# Beyond the timeout of each try, for the pauses between tries.
PAUSES_SECONDS = 30.0
# With MLflow's pauses between them, two seconds for a database that refuses connections.
DATABASE_TRIES = 4
# Of an answer that is kept in memory.
MAX_ANSWER_BYTES, ANSWER_PIECE_BYTES = 64 << 20, 64 << 10
NOT_MLFLOWS = "an answer that is not MLflow's"
# Of a file that is sent: slower than this is taken for a line that hangs.
MIN_BYTES_PER_SECOND = 64 << 10
SQLITE = "sqlite:///"


def leave_out_data_libraries() -> None:
    """Make MLflow do without the data libraries that it imports if they are installed.

    That saves 90 MB and two seconds. For a program that only sends what a trainer wrote, before it imports MLflow.
    """
    modules: dict[str, Any] = sys.modules
    for name in ("numpy", "pandas", "pyarrow", "scipy"):
        modules.setdefault(name, None)


def local_store(root: Path = WORKING_TREE) -> Path:
    """Return the folder of the local store: ``mlflow.db`` and ``artifacts/``."""
    return root / ".local" / "mlflow"


def store_uri(store: Path) -> str:
    """Return the tracking URI of a local store's folder."""
    return f"{SQLITE}{store.resolve() / 'mlflow.db'}"


def resolve_tracking_uri(explicit: Address | str | None = None) -> Address:
    """Return ``explicit``, else MLFLOW_TRACKING_URI, else the local store.

    What was written down has no login: it comes back from MLFLOW_TRACKING_URI if that is the same address with one.
    """
    found = os.environ.get(TRACKING_VARIABLE)
    if explicit:
        address = Address(explicit)
        return Address(found) if found and Address(found).without_login == address else address
    return Address(found or store_uri(local_store()))


def hand_over_login(tracking_uri: Address | str) -> str:
    """Move the login of a tracking URI into the environment of this process and its children.

    Returns:
        The rest, for a parameter, a file or a message; "" if the address is of no use without its login, as that of a
        database: then MLFLOW_TRACKING_URI has the whole.
    """
    address = _log_in(Address(tracking_uri))
    if address.has_secret:
        os.environ[TRACKING_VARIABLE] = address.reveal()
        return ""
    return address.reveal()


def _log_in(address: Address) -> Address:
    """Give MLflow's client the login of a server's address in its own variables; return the rest of the address."""
    if not address.is_http or not address.password:
        return address
    os.environ[USERNAME_VARIABLE], os.environ[PASSWORD_VARIABLE] = address.username, address.password
    return address.without_login


def database_of(tracking_uri: Address | str) -> Path | None:
    """Return the file of a SQLite URI, None for any other."""
    text = Address(tracking_uri).reveal()
    return Path(text.removeprefix(SQLITE)) if text.startswith(SQLITE) else None


def require_store(tracking_uri: Address | str) -> None:
    """Raise BadInput if a SQLite URI names a file that is there and no store of MLflow; of others nothing is asked."""
    if database := database_of(tracking_uri):
        _is_set_up(database)


def artifact_location(tracking_uri: str) -> str | None:
    """Return where a new experiment keeps its artifacts: beside a SQLite file; None leaves it to the server."""
    database = database_of(tracking_uri)
    return (database.resolve().parent / "artifacts").as_uri() if database else None


def connect(tracking_uri: Address | str) -> "MlflowClient":
    """Return a client whose calls give up after a time that they say; a new SQLite store is set up, nothing is sent.

    Raises:
        BadInput: The SQLite file is no store of MLflow.
    """
    make_logs_printable()
    for name, value in CLIENT_SETTINGS.items():
        os.environ.setdefault(name, value)
    from mlflow.store.db import utils as database_utils
    from mlflow.tracking import MlflowClient
    from mlflow.utils import rest_utils

    # Setting up a new file's tables, and every attempt at a database that is down, is told on the user's terminal.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.ERROR)
    # MLflow's own number makes it more than a minute for a database that is down.
    database_utils.MAX_RETRY_COUNT = DATABASE_TRIES
    request = rest_utils._get_http_response_with_retries
    if not hasattr(request, "__wrapped__"):
        rest_utils._get_http_response_with_retries = _with_deadline(request)
    if database := database_of(tracking_uri):
        set_up(database)
    return MlflowClient(tracking_uri=_log_in(Address(tracking_uri)).reveal())


def _with_deadline(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return MLflow's function that sends every request, with an end for all tries of a request and a bounded answer.

    MLflow's own timeout is for each byte of an answer, which a server may send one a second. And for an answer that
    asks to come back later MLflow raises that there were too many; here the last one is the answer, with its reason.
    """
    from requests.exceptions import Timeout
    from requests.utils import super_len

    @functools.wraps(request)
    def bounded(
        method: str, url: str, max_retries: int, factor: float, jitter: float, codes: Any, *_: Any, **options: Any
    ) -> Any:
        options["raise_on_status"] = False
        timeout = options.get("timeout") or float(CLIENT_SETTINGS["MLFLOW_HTTP_REQUEST_TIMEOUT"])
        size = super_len(options.get("data") or "")  # type: ignore[no-untyped-call]
        seconds = (max_retries + 1) * timeout + PAUSES_SECONDS + size / MIN_BYTES_PER_SECOND
        is_kept = not options.pop("stream", False)

        def send() -> Any:
            response = request(method, url, max_retries, factor, jitter, codes, stream=True, **options)
            return _read(response) if is_kept else response

        try:
            return within(seconds, send)
        except TimeoutError:
            raise Timeout(f"timed out: no whole answer within {seconds:.0f} s") from None

    return bounded


def _read(response: Any) -> Any:
    """Read the answer that ``response`` waits for. Raises DualGANError if it is none that MLflow gives."""
    content = bytearray()
    for piece in response.iter_content(ANSWER_PIECE_BYTES):
        content += piece
        if len(content) > MAX_ANSWER_BYTES:
            response.close()
            raise DualGANError(f"{NOT_MLFLOWS} (larger than {MAX_ANSWER_BYTES} bytes)")
    response._content = bytes(content)
    if b"error_code" in content:
        with contextlib.suppress(ValueError, RecursionError, AttributeError):
            if not isinstance(response.json().get("error_code"), str | int | None):
                raise DualGANError(f"{NOT_MLFLOWS} (its error_code is no text)")
    return response


def set_up(database: Path) -> None:
    """Make MLflow's tables in a new store: whole, by one process, or not at all.

    MLflow makes them in dozens of steps, and can go on with none that was interrupted. A store that has not even the
    default experiment, which MLflow makes last, holds nothing that could be lost.
    """
    if _is_set_up(database):
        return
    database.parent.mkdir(parents=True, exist_ok=True)
    with locked(database.with_name(f".{database.name}.lock"), f"{database}: another process makes its tables"):
        if _is_set_up(database):
            return
        from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

        new = database.with_name(f".{database.name}.new")
        new.unlink(missing_ok=True)
        try:
            store = SqlAlchemyStore(f"{SQLITE}{new.resolve()}", str(artifact_location(f"{SQLITE}{database}")))
            SqlAlchemyStore._engine_map.pop(store.db_uri, None)
            store._dispose_engine()
            # What an interrupted process left to be undone is of the file that goes.
            for kind in ("-journal", "-wal", "-shm"):
                database.with_name(database.name + kind).unlink(missing_ok=True)
            new.replace(database)
        finally:
            new.unlink(missing_ok=True)


def _is_set_up(database: Path) -> bool:
    """Return whether the file is a store that MLflow has set up. Raises BadInput if it is something else."""
    if not database.is_file() or not database.stat().st_size:
        return False
    advice = "name another file, or a new one"
    try:
        with contextlib.closing(sqlite3.connect(database, timeout=20)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if tables and "experiments" not in tables:
                raise BadInput(f"{database}: a database, but no store of MLflow; {advice}")
            return bool(tables) and connection.execute("SELECT 1 FROM experiments LIMIT 1").fetchone() is not None
    except sqlite3.DatabaseError as error:
        if "not a database" in str(error):
            raise BadInput(f"{database}: no store of MLflow ({error}); {advice}") from None
        raise DualGANError(f"{database}: {error}") from None
