"""Archives over HTTP."""

import logging
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
import urllib3

from components.dataset.options import TransferOptions
from components.dataset.transfer import (
    ContentChanged,
    MaxSize,
    PartialFile,
    Response,
    TransientError,
    chunks_of,
    in_time,
    resume,
)
from dualgan.errors import BadInput, DualGANError

CONNECTION_SECONDS = 10.0
MAX_RETRY_AFTER = 60.0
# A request that came too late or too often may succeed when it is repeated; what else is 4xx will not.
TRY_AGAIN = (408, 425, 429)
LENGTH = re.compile(r"\d{1,18}")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")

log = logging.getLogger(__name__)


def download(url: str, folder: Path, options: TransferOptions, max_size: int, label: str) -> tuple[Path, str]:
    """Return the archive at ``url`` as a file in ``folder``, and its SHA-256 (hex).

    What an earlier try left there is gone on with. Raises BadInput if the server says that the address is wrong (404
    and its like), and what ``resume`` raises.
    """
    partial = PartialFile(folder / "archive", url)
    seconds = options.idle_timeout / 2

    @contextmanager
    def open_range(offset: int, validator: str | None) -> Iterator[Response]:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            # A weak ETag is compared when the answer is there; a server need not take it as a condition.
            if validator and not validator.startswith("W/"):
                headers["If-Range"] = validator
        timeouts = (min(CONNECTION_SECONDS, seconds), seconds)
        hooks = {"response": _skip_body_of_redirect}

        def ask() -> requests.Response:
            return requests.get(url, stream=True, timeout=timeouts, headers=headers, hooks=hooks)

        with _failures(label, seconds), in_time(options.idle_timeout, ask) as response:
            yield _checked(response, offset, options.idle_timeout, label)

    log.info("downloading %s%s", label, f" from byte {partial.size} on" if partial.size else "")
    return partial.file, resume(partial, open_range, options, MaxSize(max_size), label)


def _skip_body_of_redirect(response: requests.Response, **_: object) -> None:
    if response.is_redirect:
        # requests would read all of it into memory before it goes where it is sent.
        response._content = b""


def _checked(response: requests.Response, offset: int, idle_timeout: float, label: str) -> Response:
    chunks = chunks_of(response.raw, idle_timeout)
    validator = response.headers.get("ETag") or response.headers.get("Last-Modified")
    if response.status_code == 206:
        found = CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if found is None or int(found[1]) != offset:
            raise TransientError("the server answers with another part than the one asked for")
        return Response(offset, int(found[2]) if found[2] != "*" else None, validator, chunks)
    if response.status_code == 416 and offset:
        # Less is there than there was: another file.
        raise ContentChanged
    if not response.ok:
        raise _refusal(response, label)
    length = response.headers.get("Content-Length", "")
    return Response(0, int(length) if LENGTH.fullmatch(length) else None, validator, chunks)


def _refusal(response: requests.Response, label: str) -> Exception:
    status = response.status_code
    message = f"the server answers {status} {response.reason}"
    if 400 <= status < 500 and status not in TRY_AGAIN:
        advice = "give a user and password in the address" if status in (401, 403) else "check the address"
        return BadInput(f"{label}: {message}; {advice}")
    wait = response.headers.get("Retry-After", "")
    return TransientError(message, min(float(wait), MAX_RETRY_AFTER) if LENGTH.fullmatch(wait) else 0.0)


@contextmanager
def _failures(label: str, seconds: float) -> Iterator[None]:
    try:
        yield
    except requests.exceptions.InvalidURL as error:
        raise BadInput(f"{label}: not a URL ({error})") from None
    except (requests.exceptions.InvalidSchema, requests.exceptions.MissingSchema):
        raise BadInput(f"{label}: it leads to an address that is neither http:// nor https://") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        innermost: BaseException = error
        # The HTTP libraries wrap an error several times.
        while (cause := innermost.__cause__ or innermost.__context__) is not None:
            innermost = cause
        if isinstance(innermost, ssl.SSLError) and not isinstance(innermost, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            said = getattr(innermost, "verify_message", None) or innermost.strerror or str(innermost)
            raise DualGANError(f"{label}: the download failed: TLS: {said}") from None
        timeouts = (requests.Timeout, urllib3.exceptions.TimeoutError)
        if isinstance(error, timeouts) or isinstance(innermost, TimeoutError):
            raise TransientError(f"nothing came within {seconds:g} seconds") from None
        raise TransientError(getattr(innermost, "strerror", None) or str(innermost)) from None
    except ValueError as error:
        raise DualGANError(f"{label}: the server's answer makes no sense ({error})") from None
