"""Archives over HTTP, from servers and networks that fail."""

import hashlib
import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from components.common.s3 import TransferInterrupted
from components.common.threads import NAME
from components.dataset.download import download
from components.dataset.fetch import fetch
from components.dataset.options import FetchOptions
from components.dataset.sources import CATALOGUE, Download
from components.dataset.transfer import OVERLAP
from dualgan.dataset_folder import content_digest
from dualgan.errors import BadInput, DualGANError
from tests.components.dataset.http_server import Answer, FaultyServer, raw_server
from tests.components.dataset.made import tarred

OPTIONS = FetchOptions(retries=2, idle_timeout=30)


def fetched(server: FaultyServer, destination: Path, options: FetchOptions = OPTIONS) -> str:
    return fetch(server.url, destination, options).digest


@pytest.mark.parametrize(
    ("place", "name", "written"),
    [
        ("my%20faces.zip", "my faces", "my%20faces.zip"),
        ("it's.tar.gz", "it-s-24ceef1c", "it's.tar.gz"),
        ("a.zip?X-Amz-Expires=60&X-Amz-Signature=secret", "a", "a.zip"),
        ("a?format=zip#here", "a", "a?format=zip"),
        ("a?token=secret&format=zip", "a", "a?format=zip"),
    ],
)
def test_an_archive_is_downloaded_and_unpacked_and_no_secret_of_its_address_written_down(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, place: str, name: str, written: str
) -> None:
    url = faulty.url.replace("faces.zip", place).replace("://", "://me:secret@")
    description = fetch(url, tmp_path / "out" / "data")
    assert (description.name, description.source) == (name, faulty.url.replace("faces.zip", written))
    assert description.digest == content_digest(dataset)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"data"}


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("{}", "the server answers 404 Not Found; check the address"),
        ("ftp://me:secret@host/a.zip", "a URL must begin with"),
        ("http://me:secret@[::1/a.zip", "not a URL"),
        ("http://me:secret@h:x/a", ""),
        ("http://me:12/secret@h/a", ""),
        ("https://", "a URL must begin with"),
        ("s4://b/k", "a URL must begin with"),
    ],
)
def test_a_wrong_address_is_one_line_without_its_secrets(
    faulty: FaultyServer, tmp_path: Path, address: str, reason: str
) -> None:
    faulty.usual = Answer(status=404)
    with pytest.raises(BadInput) as error:
        fetch(address.format(faulty.url.replace("://", "://me:secret@")), tmp_path / "out" / "data")
    assert reason in str(error.value) and "secret" not in str(error.value) and "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()


CUT = Answer(cut_after=150_000)
WITHOUT_TAG, WEAK = replace(CUT, etag=None), replace(CUT, etag='W/"weak"')


@pytest.mark.parametrize(
    ("answers", "usual", "starts"),
    [
        ([CUT, Answer(cut_after=100_000)], Answer(), [0, 150_000, 250_000]),
        ([WITHOUT_TAG], Answer(etag=None), [0, 150_000 - OVERLAP]),
        ([replace(CUT, etag=None, cut_after=30_000)], Answer(etag=None), [0, 0]),
        ([WEAK], Answer(etag='W/"weak"'), [0, 150_000]),
        ([CUT], Answer(resumes=False), [0, 0]),
        ([], Answer(announces_length=False), [0]),
        *(
            ([Answer(status=status, headers=(("Retry-After", "0"),)), Answer(status=status)], Answer(), [0, 0, 0])
            for status in (500, 503, 429, 408)
        ),
        # More breaks than retries are borne as long as each try brings something.
        ([Answer(cut_after=30_000)] * 5, Answer(), [30_000 * number for number in range(6)]),
    ],
)
def test_a_download_goes_on_whatever_ends_a_connection_and_however_the_server_resumes(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, answers: list[Answer], usual: Answer, starts: list[int]
) -> None:
    faulty.answers.extend(answers)
    faulty.usual = usual
    assert fetched(faulty, tmp_path / "data") == content_digest(dataset)
    assert faulty.requests.starts == starts


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (CUT, Answer(etag='"second"')),
        (CUT, Answer(etag='"second"', heeds_conditions=False)),
        (WITHOUT_TAG, Answer(etag=None)),
        (WEAK, Answer(etag='W/"2"')),
        (replace(CUT, cut_after=700_000), Answer(heeds_conditions=False)),
    ],
)
def test_a_file_that_changes_on_the_server_or_gets_shorter_is_fetched_anew(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, before: Answer, after: Answer
) -> None:
    is_longer = (before.cut_after or 0) > len(faulty.content)
    older = faulty.content + bytes(1 << 20) if is_longer else bytes(len(faulty.content))
    faulty.answers.append(replace(before, content=older))
    faulty.usual = after
    assert fetched(faulty, tmp_path / "data") == content_digest(dataset)


@pytest.mark.parametrize("etag", ['"first"', None])
@pytest.mark.parametrize("resumes", [True, False])
@pytest.mark.parametrize("changes", [True, False])
def test_a_whole_file_of_an_earlier_call_is_taken_if_the_server_still_has_it(
    faulty: FaultyServer, tmp_path: Path, etag: str | None, resumes: bool, changes: bool
) -> None:
    faulty.usual = Answer(etag=etag, resumes=resumes)
    download(faulty.url, tmp_path, OPTIONS, "a.zip")
    if changes:
        faulty.content = bytes(len(faulty.content))
        faulty.usual = replace(faulty.usual, etag=etag and '"second"')
    file, sha256 = download(faulty.url, tmp_path, OPTIONS, "a.zip")
    assert file.read_bytes() == faulty.content
    assert sha256 == hashlib.sha256(faulty.content).hexdigest()
    if resumes and not changes:
        assert faulty.requests.starts == [0, len(faulty.content) - OVERLAP]


@pytest.mark.parametrize(
    ("answer", "tries"), [(Answer(status=503), 3), (Answer(status=503, headers=(("Retry-After", "86400"),)), 1)]
)
def test_a_server_that_stays_broken_or_asks_for_a_day_is_one_line_of_failed_work(
    faulty: FaultyServer, tmp_path: Path, answer: Answer, tries: int
) -> None:
    faulty.usual = answer
    with pytest.raises(TransferInterrupted) as error:
        fetched(faulty, tmp_path / "parent" / "data")
    assert str(error.value) == f"{faulty.url}: the download failed: the server answers 503 Service Unavailable"
    assert error.value.exit_code == 1
    assert len(faulty.requests.starts) == tries
    assert not (tmp_path / "parent").exists()


@pytest.mark.parametrize("is_other", [False, True])
def test_what_came_is_kept_for_the_next_call_with_the_same_source(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, is_other: bool
) -> None:
    faulty.answers.append(Answer(cut_after=200_000))
    faulty.usual = Answer(status=500)
    with pytest.raises(TransferInterrupted, match="the 200000 bytes that came are kept, the same command goes on"):
        fetched(faulty, tmp_path / "out" / "data")
    assert not (tmp_path / "out" / "data").exists()
    faulty.usual = Answer()
    source = str(dataset) if is_other else faulty.url
    assert fetch(source, tmp_path / "out" / "data", OPTIONS).digest == content_digest(dataset)
    assert is_other or faulty.requests.starts[-1] == 200_000
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"data"}


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SLOW = r"too slow: \d+ bytes in 1 seconds, less than 1048576 a second"


@pytest.mark.parametrize(
    ("answers", "options", "reason"),
    [
        ([Answer(hold_after=100_000), Answer(hold_after=0)], {"retries": 9, "idle_timeout": 2}, "came within 1 sec"),
        ([Answer(pause=0.2)], {"idle_timeout": 1, "min_rate": 1 << 20}, SLOW),
        ([Answer(cut_after=200_000), Answer(pause=0.4)], {"idle_timeout": 1, "min_rate": 1 << 20}, SLOW),
        ([Answer(slow_header=30)], {"retries": 1, "idle_timeout": 1}, "no whole answer came within 1 seconds"),
    ],
    ids=["silent", "drops", "drops after a part", "headers"],
)
def test_a_server_that_sends_too_little_is_given_up(
    faulty: FaultyServer, tmp_path: Path, answers: list[Answer], options: dict[str, int], reason: str
) -> None:
    faulty.answers.extend(answers[:-1])
    faulty.usual = answers[-1]
    began = time.monotonic()
    with pytest.raises(TransferInterrupted, match=reason):
        fetched(faulty, tmp_path / "data", FetchOptions(**options))  # type: ignore[arg-type]
    assert time.monotonic() - began < 10


@pytest.mark.parametrize(
    ("start", "again"),
    [(CHUNKED + b"5\r\nhello\r\n0\r\n", b"X-A: b\r\n" * 10), (CHUNKED, b"0")],
    ids=["trailers", "size"],
)
def test_an_answer_that_never_ends_is_given_up(tmp_path: Path, start: bytes, again: bytes) -> None:
    with raw_server(start, again, 0.05) as url:
        began = time.monotonic()
        with pytest.raises(TransferInterrupted, match=r"no whole answer came within 0\.5 seconds"):
            fetch(url, tmp_path / "data", FetchOptions(retries=0, idle_timeout=0.5))
        # The reader ends with the connection.
        while (waiting := [one for one in threading.enumerate() if one.name == NAME]) and time.monotonic() - began < 5:
            time.sleep(0.05)
        assert not waiting


@pytest.mark.parametrize("length", ["9" * 5000, "-1", "1, 2"])
def test_a_length_that_is_none_is_not_believed(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, length: str
) -> None:
    faulty.usual = Answer(announces_length=False, headers=(("Content-Length", length),))
    try:
        assert fetched(faulty, tmp_path / "data") == content_digest(dataset)
    except DualGANError as error:
        assert "\n" not in str(error)


def test_what_a_redirect_holds_is_not_read(faulty: FaultyServer, dataset: Path, tmp_path: Path) -> None:
    target = faulty.url.replace("faces.zip", "other.zip")
    faulty.answers.append(Answer(status=302, content=bytes(64 << 20), headers=(("Location", target),)))
    assert fetched(faulty, tmp_path / "data") == content_digest(dataset)
    assert faulty.requests.sent < 32 << 20


@pytest.mark.parametrize(
    ("place", "kind", "message"),
    [
        ("file:///etc/passwd", BadInput, "neither http:// nor https://"),
        ("http://[::1\x1b]:99999999/", DualGANError, "not a URL|makes no sense"),
    ],
)
def test_a_redirect_to_what_is_no_address_is_refused_at_once(
    tmp_path: Path, place: str, kind: type[DualGANError], message: str
) -> None:
    answer = f"HTTP/1.1 302 Found\r\nLocation: {place}\r\nContent-Length: 0\r\n\r\n".encode()
    with raw_server(answer, b"", 0) as url, pytest.raises(kind, match=message):
        fetch(url, tmp_path / "data", FetchOptions(retries=9))


@pytest.mark.parametrize("announces_length", [True, False])
def test_a_download_beyond_max_size_is_refused(faulty: FaultyServer, tmp_path: Path, announces_length: bool) -> None:
    faulty.usual, faulty.content = Answer(announces_length=announces_length), bytes(32 << 20)
    with pytest.raises(BadInput, match=r"refused, it has more than 200000 bytes \(--max-size\)"):
        fetched(faulty, tmp_path / "out" / "data", FetchOptions(max_size=200_000))
    assert faulty.requests.sent < len(faulty.content)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("url", "reason"), [("http://127.0.0.1:1/faces.zip", "Connection refused"), ("https://{}/faces.zip", "TLS: ")]
)
def test_a_connection_that_cannot_be_made_is_one_line_of_failed_work(
    faulty: FaultyServer, tmp_path: Path, url: str, reason: str
) -> None:
    # The server has no TLS.
    url = url.format(faulty.url.split("/")[2])
    with pytest.raises(DualGANError) as error:
        fetch(url, tmp_path / "out" / "data", OPTIONS)
    assert str(error.value).startswith(f"{url}: the download failed: {reason}") and "\n" not in str(error.value)
    assert error.value.exit_code == 1
    assert not (tmp_path / "out").exists()


def catalogued(monkeypatch: pytest.MonkeyPatch, *urls: str, sha256: str | None = None) -> None:
    monkeypatch.setitem(CATALOGUE, "faces", Download("faces", "faces", urls, sha256, "use a mirror"))


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_mirror_that_has_not_what_the_catalogue_says_is_passed_over(
    faulty: FaultyServer, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_missing: bool
) -> None:
    right = tarred(dataset, tmp_path / "right.tgz").read_bytes()
    other, faulty.content = faulty.content, right
    faulty.answers.append(Answer(status=404) if is_missing else Answer(content=other))
    urls = (faulty.url, faulty.url.replace("faces", "mirror"), "http://127.0.0.1:1/never-asked.zip")
    catalogued(monkeypatch, *urls, sha256=hashlib.sha256(right).hexdigest())
    description = fetch("faces", tmp_path / "data", OPTIONS)
    assert (description.name, description.source) == ("faces", "faces")
    assert description.digest == content_digest(dataset)
    assert faulty.requests.starts == [0, 0]


def test_if_no_mirror_has_it_each_is_named_with_its_reason(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    faulty.answers.append(Answer(status=404))
    faulty.usual = Answer(status=410)
    missing = faulty.url.replace("faces", "missing")
    catalogued(monkeypatch, missing, faulty.url)
    with pytest.raises(BadInput) as error:
        fetch("faces", tmp_path / "out" / "data", OPTIONS)
    assert str(error.value) == (
        f"faces: no address has it: {missing}: the server answers 404 Not Found; check the address; "
        f"{faulty.url}: the server answers 410 Gone; check the address; use a mirror"
    )
    assert not (tmp_path / "out").exists()


def test_a_login_may_come_from_the_environment(
    faulty: FaultyServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DUALGAN_DATASET_LOGIN", "me:s/e@cret")
    description = fetch(faulty.url, tmp_path / "data", FetchOptions(lock=tmp_path / "datasets.lock"))
    assert faulty.requests.logins == ["me:s/e@cret"]
    assert description.source == faulty.url
    assert list(json.loads((tmp_path / "datasets.lock").read_text())) == [faulty.url]
