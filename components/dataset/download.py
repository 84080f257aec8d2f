"""Archives over HTTP, archives and folders in S3.

boto3's own transfers begin anew after a kill and count bytes by the quarter of a megabyte, so that what trickles would
never end: objects come the way that archives do over HTTP.
"""

import hashlib
import logging
import re
import ssl
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import requests
import urllib3

from components.common import s3
from components.common.console import Progress
from components.common.threads import within
from components.dataset.options import FetchOptions
from components.dataset.transfer import (
    ContentChanged,
    OpenRange,
    PartialFile,
    RateLimit,
    Response,
    TransientError,
    chunks_of,
)
from dualgan.errors import BadInput, DualGANError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONNECTION_SECONDS = 10.0
MAX_RETRY_AFTER = 60.0
# A request that came too late or too often may succeed when it is repeated; what else is 4xx will not.
TRY_AGAIN = (408, 425, 429)
LENGTH = re.compile(r"\d{1,18}")
CONTENT_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)")

log = logging.getLogger(__name__)


def download(url: str, folder: Path, options: FetchOptions, label: str) -> tuple[Path, str]:
    """Return the archive at ``url`` as a file in ``folder``, and its SHA-256 (hex); an earlier try is gone on with.

    Raises BadInput if the server says that the address is wrong, and what ``PartialFile.resume`` raises.
    """
    seconds = options.idle_timeout / 2

    @contextmanager
    def open_range(offset: int, validator: str | None) -> Iterator[Response]:
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
            # A weak ETag is compared when the answer is there; a server need not take it as a condition.
            headers |= {"If-Range": validator} if validator and not validator.startswith("W/") else {}
        timeouts = (min(CONNECTION_SECONDS, seconds), seconds)
        hooks = {"response": _skip_body_of_redirect}

        def ask() -> requests.Response:
            return requests.get(url, stream=True, timeout=timeouts, headers=headers, hooks=hooks)

        with _failures(label, seconds), within(options.idle_timeout, ask) as response:
            yield _checked(response, offset, options.idle_timeout, label)

    return _archive(url, folder, options, label, open_range)


def download_archive(
    client: "S3Client", bucket: str, key: str, folder: Path, options: FetchOptions
) -> tuple[Path, str]:
    """Do as ``download`` with an object of S3. Raises BadInput if it is missing or may not be read."""
    address, label = f"{client.meta.endpoint_url} {bucket} {key}", f"s3://{bucket}/{key}"
    with s3.failures(label, bucket):
        return _archive(address, folder, options, label, _ranges(client, bucket, key, options))


def download_objects(
    client: "S3Client", bucket: str, objects: Mapping[str, s3.S3Object], folder: Path, options: FetchOptions, label: str
) -> list[tuple[str, Path]]:
    """Return ``objects`` by the names that they get, each as a file in ``folder``; an earlier try is gone on with."""
    log.info("downloading %d objects of %s", len(objects), label)
    rate = RateLimit(label, options)

    def bring(name: str) -> tuple[str, Path]:
        key, size, etag, _ = objects[name]
        identity, address = f"{key}\0{etag}", f"s3://{bucket}/{key}"
        number = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()
        file = folder / f"{number}{Path(name).suffix.lower()}"
        partial = PartialFile(file, identity, address, options, (size, "what the bucket's list says"))
        # The list is the server's word that a whole object with this tag is what it has.
        if partial.size != size or not file.exists():
            partial.resume(_ranges(client, bucket, key, options), (rate, progress))
        if partial.size != size:
            raise s3.TransferInterrupted(f"{address}: changed while it was transferred; try again")
        return name, file

    total = sum(entry.size for entry in objects.values())
    with (
        s3.failures(label, bucket),
        ThreadPoolExecutor(options.jobs) as pool,
        Progress("downloading", total, "B") as progress,
    ):
        return list(pool.map(bring, objects))


def _archive(address: str, folder: Path, options: FetchOptions, label: str, open_range: OpenRange) -> tuple[Path, str]:
    partial = PartialFile(folder / "archive", address, label, options, (options.max_size, "--max-size"))
    log.info("downloading %s%s", label, f" from byte {partial.size} on" if partial.size else "")
    partial.resume(open_range)
    with partial.file.open("rb") as file:
        return partial.file, hashlib.file_digest(file, "sha256").hexdigest()


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


def _ranges(client: "S3Client", bucket: str, key: str, options: FetchOptions) -> OpenRange:
    @contextmanager
    def open_range(offset: int, validator: str | None) -> Iterator[Response]:
        where: Any = {"Range": f"bytes={offset}-"} if offset else {}

        try:
            answer = s3.asked(client, bucket, lambda: client.get_object(Bucket=bucket, Key=key, **where))
            part = CONTENT_RANGE.fullmatch(answer.get("ContentRange", ""))
            total = int(part[2]) if part and part[2] != "*" else answer.get("ContentLength")
            with cast(Any, answer["Body"]) as raw:
                chunks = chunks_of(raw, options.idle_timeout)
                yield Response(int(part[1]) if part else 0, total, answer.get("ETag"), chunks)
        except Exception as error:
            if offset and s3.code_of(error) == "InvalidRange":
                raise ContentChanged from None
            raise TransientError(str(error)) if s3.is_transient(error) else error from None

    return open_range
