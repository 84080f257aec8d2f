"""What an error of MLflow means and what to do about it, in one line."""

import re
from urllib.parse import urlsplit

from dualgan.errors import DualGANError

CONNECTION_REASON = re.compile(
    r"\[Errno -?\d+\] ([\w ]+)|(Read timed out|timed out)|(certificate verify failed)|(too many \d+ error responses)"
)
# Which call it was differs from attempt to attempt; what the server said does not.
ANSWER = re.compile(r"API request to endpoint '?\S+ failed with (error code \d+) != 200\. Response body: '(.*?)'?$")
LOGIN_ADVICE = "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or a valid MLFLOW_TRACKING_TOKEN"
SERVER_OR_FILE = "give http://HOST:PORT of a server, or sqlite:////PATH/mlflow.db"
ADVICE = {
    "error code 404": "no MLflow server answers there: correct the tracking URI",
    "unsupported URI": SERVER_OR_FILE,
    "filesystem tracking backend": SERVER_OR_FILE,
    "No such file or directory": "correct the tracking URI, or make its folder",
    "sqlite3.": "name a file that is a store of MLflow, or a new one, in a folder that can be written",
    # SQLAlchemy's default for postgresql:// is another driver than the one that is installed.
    "No module named 'psycopg'": "name the driver: postgresql+psycopg2://",
}


# What a server says while it, its database, its object store or the network on the way is down for a while.
PASSING = re.compile(
    r"Max retries exceeded|Connection aborted|Connection refused|Connection reset|timed out"
    r"|error code (?:429|5\d\d)|\b(?:429 Client|5\d\d Server) Error|^(?:INTERNAL_ERROR|TEMPORARILY_UNAVAILABLE): "
)
LASTING = re.compile(r"certificate verify failed|Invalid Host header")


def without_credentials(uri: str) -> str:
    """``uri`` as it may be shown: user name and password left out."""
    parts = urlsplit(uri)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if "@" in parts.netloc else uri


def may_pass(error: BaseException) -> bool:
    """Whether the same call may succeed later with nobody doing anything about MLflow's client or its account."""
    text = str(error)
    return not isinstance(error, DualGANError) and bool(PASSING.search(text)) and not LASTING.search(text)


def explain(error: BaseException, tracking_uri: str) -> str:
    """One line: which server, its own reason, what to do. The same trouble gives the same line every time."""
    text = re.sub(r"//[^/@\s]+@", "//", str(error).strip()) or type(error).__name__
    first_line = ANSWER.sub(r"\1: \2", text.splitlines()[0])
    return f"{without_credentials(tracking_uri)}: {_reason_and_advice(text, first_line)}"


def _reason_and_advice(text: str, first_line: str) -> str:
    if "Max retries exceeded" in text or "Connection aborted" in text or "Connection refused" in text:
        found = CONNECTION_REASON.search(text)
        reason = next((group for group in found.groups() if group), "") if found else ""
        reason = reason.strip() or "connection failed"
        return f"no answer ({reason}); start the server or correct the tracking URI"
    if "error code 401" in text or "401 Client Error" in text or "Unauthorized" in text:
        return f"login refused: {first_line}; {LOGIN_ADVICE}"
    if "Invalid Host header" in text:
        return f"{first_line}; start the server with --allowed-hosts naming this host with and without its port"
    if "error code 403" in text or "403 Client Error" in text or "PERMISSION_DENIED" in text:
        return f"not allowed: {first_line}; ask for write access to the experiment and the model, or {LOGIN_ADVICE}"
    advice = next((advice for words, advice in ADVICE.items() if words in text), None)
    return f"{first_line}; {advice}" if advice else first_line
