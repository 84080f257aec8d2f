"""Errors of MLflow in one line, what to do about them, and how long to wait for what may pass."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_delay, wait_exponential

from components.common.address import Address
from components.tracking.store import NOT_MLFLOWS
from dualgan.errors import DualGANError, without_logins

LATE = re.compile(r"no whole answer within \d+ s|Read timed out")
NO_CONNECTION = re.compile("Max retries exceeded|Connection aborted|Connection refused")
CONNECTION_REASON = re.compile(r"\[Errno -?\d+\] ([\w ]+)|(Connection refused)|(timed out)|(certificate verify failed)")
# Which call it was differs from attempt to attempt; what the server said does not.
ANSWER = re.compile(r"API request to endpoint '?\S+ failed with (error code \d+) != 200\. Response body: '(.*?)'?$")
NO_ANSWER = re.compile(rf"API request to \S+ failed with exception ({NOT_MLFLOWS})")
ARTIFACT_ANSWER = re.compile(r"(\d{3} (?:Client|Server) Error): .*?(?:\. Response text: (.*))?$", re.DOTALL)
SERVER_MESSAGE = re.compile(r'"message": ?"((?:[^"\\]|\\.)*)"')
MAX_REASON = 500

LOGIN = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a valid MLFLOW_TRACKING_TOKEN"
SERVER_OR_FILE = "give http://HOST:PORT of a server, or sqlite:////PATH/mlflow.db"
CHECKSUMS = (
    "start the server with AWS_REQUEST_CHECKSUM_CALCULATION=when_required and "
    "AWS_RESPONSE_CHECKSUM_VALIDATION=when_required if its S3 refuses checksums, and see the server's log"
)
# By what an answer says, the first that fits: what is said, in which {} is MLflow's own reason.
ADVICE = {
    "error code 401|401 Client Error|Unauthorized": f"login refused: {{}}; {LOGIN}",
    "Invalid Host header": "{}; start the server with --allowed-hosts naming this host with and without its port",
    "error code 403|403 Client Error|PERMISSION_DENIED": "not allowed: {}; ask for write access to the experiment and "
    f"the model, or {LOGIN}",
    NOT_MLFLOWS: "{}; correct the tracking URI",
    "error code 404": "{}; no MLflow server answers there: correct the tracking URI",
    "unsupported URI|filesystem tracking backend": f"{{}}; {SERVER_OR_FILE}",
    "No such file or directory": "{}; correct the tracking URI, or make its folder",
    r"duplicate column name|table \S+ already exists": "{}; an interrupted upgrade left its tables half-made: put back "
    "a copy, or name a new store and sync again",
    "database or disk is full": "{}; free some space",
    r"sqlite3\.": "{}; name a file that is a store of MLflow, or a new one, in a folder that can be written",
    # SQLAlchemy's default for postgresql:// is another driver than the one that is installed.
    "No module named 'psycopg'": "{}; name the driver: postgresql+psycopg2://",
    r"5\d\d Server Error.*mlflow-artifacts/artifacts": f"{{}}; {CHECKSUMS}",
    r"error code (?:429|5\d\d)|429 Client Error|5\d\d Server Error": "{}; the server is there: see its log, or try "
    "later",
    "": "{}",
}

# What a server says while it, its database, its object store or the network on the way is down for a while.
PASSING = re.compile(
    r"Max retries exceeded|Connection aborted|Connection refused|Connection reset|timed out"
    r"|error code (?:429|5\d\d)|\b(?:429 Client|5\d\d Server) Error"
    r"|^(?:INTERNAL_ERROR|TEMPORARILY_UNAVAILABLE|REQUEST_LIMIT_EXCEEDED|RESOURCE_EXHAUSTED): "
)
LASTING = re.compile(r"certificate verify failed|Invalid Host header")

# Where KFP's launcher puts a pod's artifacts, and how their addresses begin.
ARTIFACT_FOLDERS = {"/minio/": "minio://", "/s3/": "s3://", "/gcs/": "gs://"}
FIRST_PAUSE, MAX_PAUSE = 5.0, 60.0

Result = TypeVar("Result")


def may_pass(error: BaseException) -> bool:
    """Return whether the same call may succeed later with nobody doing anything about MLflow's client or account."""
    text = str(error)
    return not isinstance(error, DualGANError) and bool(PASSING.search(text)) and not LASTING.search(text)


def explain(error: BaseException, tracking_uri: Address | str) -> str:
    """Return one line: which server, its own reason, what to do. The same trouble gives the same line every time.

    That of an error of our own is its text.
    """
    if isinstance(error, DualGANError):
        return str(error)
    text = without_logins(str(error).strip()) or type(error).__name__
    if late := LATE.search(text):
        said = f"no answer ({late[0]}); see the server's log, or set MLFLOW_HTTP_REQUEST_TIMEOUT to more seconds a try"
    elif NO_CONNECTION.search(text):
        found = CONNECTION_REASON.search(text)
        reason = next(filter(None, found.groups())).strip() if found else "connection failed"
        said = f"no answer ({reason}); start the server or correct the tracking URI"
    else:
        said = next(said for words, said in ADVICE.items() if re.search(words, text)).format(_reason_in(text))
    return f"{Address(tracking_uri)}: {said}"


def _reason_in(text: str) -> str:
    """Return what the server itself said, in an error's text."""
    reason = ANSWER.sub(r"\1: \2", NO_ANSWER.sub(r"\1", text.splitlines()[0]))
    if found := ARTIFACT_ANSWER.search(text):
        message = SERVER_MESSAGE.search(found[2] or "")
        answer = message[1] if message else re.sub(r"<[^>]*>|\s+", " ", found[2] or "").strip()
        reason = f"{found[1]}: {answer}" if answer else found[1]
    return reason if len(reason) <= MAX_REASON else f"{reason[:MAX_REASON]}..."


def artifact_address(path: Path) -> str | None:
    """Return the address of a pipeline's artifact that lies at ``path`` in a pod; None if it is no pod's artifact."""
    for folder, scheme in ARTIFACT_FOLDERS.items():
        if str(path).startswith(folder):
            return scheme + str(path).removeprefix(folder)
    return None


def how_to_send(run_folder: Path) -> str:
    """Return how MLflow gets what it lacks of a run. A pod's folder is gone with the pod, its artifact is not."""
    address = artifact_address(run_folder)
    if address:
        return f"the pipeline's last task sends it, from {address}"
    return f"`parity sync {shlex.quote(str(run_folder))}` sends it"


def patiently(
    work: Callable[[], Result], tracking_uri: Address | str, hours: float, say: Callable[[str], None]
) -> Result:
    """Do ``work``, again and from its beginning as long as MLflow is away: what it gets may be the fruit of days.

    Args:
        work: What to do with MLflow. It must be as good done twice as once.
        tracking_uri: The server's address, for what is said.
        hours: How long to go on trying; 0 tries once.
        say: Gets each reason for waiting once, and that the waiting is over.

    Raises:
        DualGANError: MLflow refuses what no waiting mends (a login, a permission, an address), or it stayed away.
    """
    reasons: list[str] = []

    def tell(state: RetryCallState) -> None:
        assert state.outcome and state.next_action
        reason = explain(state.outcome.exception() or RuntimeError(), tracking_uri)
        if reason not in reasons:
            reasons.append(reason)
            say(f"{reason}; waiting for MLflow, up to {hours:g} h; next try in {state.next_action.sleep:.0f} s")

    retrying = Retrying(
        retry=retry_if_exception(may_pass),
        wait=wait_exponential(FIRST_PAUSE, MAX_PAUSE),
        stop=stop_after_delay(hours * 3600),
        before_sleep=tell,
        reraise=True,
    )
    try:
        result = retrying(work)
    except DualGANError:
        raise
    except Exception as error:
        # MLflow raises whatever its client, its server or the network had to say.
        waited = f"; MLflow was waited for, {hours:g} h" if reasons and may_pass(error) else ""
        raise DualGANError(explain(error, tracking_uri) + waited) from error
    if reasons:
        say(f"MLflow answers again, and has everything; tries: {retrying.statistics['attempt_number']}")
    return result
