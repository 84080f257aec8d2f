"""Archives over HTTP."""

import hashlib
import logging
from pathlib import Path

import requests
from tqdm import tqdm

from dualgan.errors import BadInput, DualGANError

CHUNK = 1 << 18
# Seconds for the connection, and for each wait for more of the answer.
TIMEOUT = (10.0, 60.0)
# A request that came too late or too often may succeed when it is repeated; what else is 4xx will not.
TRY_AGAIN = (408, 425, 429)

log = logging.getLogger(__name__)


def download(url: str, target: Path, shown: str, timeout: tuple[float, float] = TIMEOUT) -> None:
    """Stream what ``url`` answers into ``target``; ``shown`` is how messages name it.

    Raises BadInput where the server says that the address is wrong (404 and its like), DualGANError for every
    other failure: no connection, TLS, a timeout, an answer that breaks off.
    """
    log.info("downloading %s", shown)
    try:
        with requests.get(url, stream=True, timeout=timeout, headers={"Accept-Encoding": "identity"}) as answer:
            if not answer.ok:
                _refused(answer.status_code, answer.reason, shown)
            length = answer.headers.get("Content-Length", "")
            total = int(length) if length.isdigit() else None
            with (
                target.open("wb") as file,
                tqdm(total=total, desc="downloading", unit="B", unit_scale=True, disable=None) as progress,
            ):
                for chunk in answer.iter_content(CHUNK):
                    file.write(chunk)
                    progress.update(len(chunk))
    except requests.exceptions.InvalidURL as error:
        raise BadInput(f"{shown}: not a URL ({error})") from None
    except requests.RequestException as error:
        raise DualGANError(f"{shown}: the download failed: {_reason(error, timeout)}") from None


def download_first(
    urls: tuple[str, ...], target: Path, shown: str, sha256: str | None = None, advice: str = ""
) -> None:
    """Download from the first of ``urls`` that answers, and check the SHA-256 where one is known.

    Where none answers the last one's error is raised, with ``advice``.
    """
    for url in urls[:-1]:
        try:
            download(url, target, shown)
            break
        except DualGANError as error:
            log.info("%s; trying the next address", error)
    else:
        try:
            download(urls[-1], target, shown)
        except DualGANError as error:
            raise type(error)(f"{error}; {advice}" if advice else str(error)) from None
    if sha256 is not None:
        _check_sha256(target, sha256, shown)


def _check_sha256(path: Path, expected: str, shown: str) -> None:
    with path.open("rb") as file:
        actual = hashlib.file_digest(file, "sha256").hexdigest()
    if actual != expected:
        raise DualGANError(f"{shown}: the download has SHA-256 {actual}, not {expected}; it is damaged or another file")


def _refused(status: int, reason: str, shown: str) -> None:
    message = f"{shown}: the server answers {status} {reason}"
    if 400 <= status < 500 and status not in TRY_AGAIN:
        raise BadInput(f"{message}; check the address")
    raise DualGANError(f"{message}; try again later")


def _reason(error: BaseException, timeout: tuple[float, float]) -> str:
    """The innermost cause in words: the HTTP libraries wrap it several times."""
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {timeout[0]:g} seconds"
    innermost = error
    while (cause := innermost.__cause__ or innermost.__context__) is not None:
        innermost = cause
    if isinstance(error, requests.Timeout) or isinstance(innermost, TimeoutError):
        return f"no answer within {timeout[1]:g} seconds"
    said = getattr(innermost, "verify_message", None) or getattr(innermost, "strerror", None) or str(innermost)
    return f"TLS: {said}" if isinstance(error, requests.exceptions.SSLError) else str(said)
