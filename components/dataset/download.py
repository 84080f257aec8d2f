"""Archives over HTTP."""

import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import urllib3

from components.dataset.options import Patience
from components.dataset.transfer import CHUNK, Answer, Broken, Changed, Partial, complete
from dualgan.errors import BadInput, DualGANError

CONNECTION_SECONDS = 10.0
# A request that came too late or too often may succeed when it is repeated; what else is 4xx will not.
TRY_AGAIN = (408, 425, 429)
LONGEST_WAIT = 60.0


def download(url: str, folder: Path, shown: str, patience: Patience) -> tuple[Path, str]:
    """The archive at ``url`` as a file in ``folder``, and its SHA-256 (hex); goes on with what an earlier try left
    there. ``shown`` is how messages name it.

    Raises BadInput where the server says that the address is wrong (404 and its like), DualGANError for every
    other failure: TLS, no connection, an answer that breaks off again and again.
    """
    partial = Partial(folder, url)
    seconds = patience.stall / 2

    @contextmanager
    def ask(offset: int, validator: str | None) -> Iterator[Answer]:
        with _failures(shown, seconds), _get(url, offset, validator, seconds) as response:
            yield _answer(response, offset, shown)

    return partial.file, complete(partial, ask, patience, shown)


def _get(url: str, offset: int, validator: str | None, seconds: float) -> requests.Response:
    headers = {"Accept-Encoding": "identity"}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        # A weak ETag is compared when the answer is there; a server need not take it as a condition.
        if validator and not validator.startswith("W/"):
            headers["If-Range"] = validator
    return requests.get(url, stream=True, timeout=(min(CONNECTION_SECONDS, seconds), seconds), headers=headers)


def _answer(response: requests.Response, offset: int, shown: str) -> Answer:
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if response.status_code == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != offset:
            raise Broken("the server answers with another part than the one asked for")
        total = int(found[2]) if found[2] != "*" else None
        return Answer(offset, total, validator, _chunks(response))
    if response.status_code == 416 and offset:
        # Less is there than there was: another file.
        raise Changed
    if not response.ok:
        _refused(response, shown)
    length = response.headers.get("Content-Length", "")
    return Answer(0, int(length) if length.isdigit() else None, validator, _chunks(response))


def _chunks(response: requests.Response) -> Iterator[bytes]:
    # What has come is written at once: read() would wait until a chunk is full, and lose it with the process.
    while chunk := response.raw.read1(CHUNK):
        yield chunk


def _refused(response: requests.Response, shown: str) -> None:
    status = response.status_code
    message = f"the server answers {status} {response.reason}"
    if 400 <= status < 500 and status not in TRY_AGAIN:
        advice = "give a user and password in the address" if status in (401, 403) else "check the address"
        raise BadInput(f"{shown}: {message}; {advice}")
    wait = response.headers.get("Retry-After", "")
    raise Broken(message, min(float(wait), LONGEST_WAIT) if wait.isdigit() else 0.0)


@contextmanager
def _failures(shown: str, seconds: float) -> Iterator[None]:
    try:
        yield
    except requests.exceptions.InvalidURL as error:
        raise BadInput(f"{shown}: not a URL ({error})") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        innermost = _innermost(error)
        if isinstance(innermost, ssl.SSLError) and not isinstance(innermost, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            said = getattr(innermost, "verify_message", None) or innermost.strerror or str(innermost)
            raise DualGANError(f"{shown}: the download failed: TLS: {said}") from None
        timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError)
        if isinstance(error, timeouts) or isinstance(innermost, TimeoutError):
            raise Broken(f"nothing came within {seconds:g} seconds") from None
        raise Broken(getattr(innermost, "strerror", None) or str(innermost)) from None


def _innermost(error: BaseException) -> BaseException:
    """The cause of ``error``: the HTTP libraries wrap it several times."""
    while (cause := error.__cause__ or error.__context__) is not None:
        error = cause
    return error
