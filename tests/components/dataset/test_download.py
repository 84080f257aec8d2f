import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from components.dataset.download import download, download_first
from components.dataset.fetch import fetch
from dualgan.dataset_folder import content_digest, describe
from dualgan.errors import BadInput, DualGANError
from tests.components.dataset.made import everything_below, tarred, zipped

Serve = Callable[[Path], str]


@pytest.mark.parametrize("ending", [".zip", ".tar.gz"])
def test_an_archive_is_downloaded_and_unpacked(dataset: Path, tmp_path: Path, serve: Serve, ending: str) -> None:
    (tmp_path / "www").mkdir()
    (zipped if ending == ".zip" else tarred)(dataset, tmp_path / "www" / f"my faces{ending}")
    url = f"{serve(tmp_path / 'www')}/my%20faces{ending}"
    description = fetch(url, tmp_path / "out" / "data")
    assert (description.name, description.source) == ("my faces", url)
    assert description.digest == content_digest(dataset)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"data"}


def test_a_password_in_a_url_is_not_written_down(dataset: Path, tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "www").mkdir()
    zipped(dataset, tmp_path / "www" / "a.zip")
    url = serve(tmp_path / "www").replace("http://", "http://me:secret@")
    fetch(f"{url}/a.zip", tmp_path / "data")
    assert describe(tmp_path / "data").source == f"{url.replace('me:secret@', '')}/a.zip"
    with pytest.raises(BadInput) as error:
        fetch(f"{url}/b.zip", tmp_path / "other")
    assert "secret" not in str(error.value)


def test_a_missing_file_on_the_server_is_bad_input_and_leaves_nothing(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "www").mkdir()
    url = f"{serve(tmp_path / 'www')}/faces.zip"
    with pytest.raises(BadInput) as error:
        fetch(url, tmp_path / "out" / "data")
    assert str(error.value) == f"{url}: the server answers 404 File not found; check the address"
    assert everything_below(tmp_path) == {"www"}


def test_a_page_instead_of_an_archive_is_bad_input(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "faces.zip").write_text("<html>log in first</html>")
    with pytest.raises(BadInput, match="neither a zip nor a tar archive"):
        fetch(f"{serve(tmp_path / 'www')}/faces.zip", tmp_path / "data")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_a_refused_connection_is_one_line_of_failed_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    url = f"http://127.0.0.1:{free_port()}/faces.zip"
    with pytest.raises(DualGANError) as error:
        fetch(url, tmp_path / "out" / "data")
    assert str(error.value) == f"{url}: the download failed: Connection refused"
    assert error.value.exit_code == 1
    assert everything_below(tmp_path) == set()


def answering(answer: bytes, wait: threading.Event | None = None) -> int:
    """The port of a server that gives one connection ``answer``, and closes it once ``wait`` is set."""
    listener = socket.create_server(("127.0.0.1", 0))

    def run() -> None:
        with listener:
            connection, _ = listener.accept()
            with connection:
                if answer:
                    connection.recv(65536)
                    connection.sendall(answer)
                if wait is not None:
                    wait.wait(20)

    threading.Thread(target=run, daemon=True).start()
    return int(listener.getsockname()[1])


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nPK", "IncompleteRead"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "the server answers 503 Busy; try again later"),
    ],
)
def test_an_answer_that_may_come_whole_next_time_is_failed_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, reason: str
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DualGANError, match=reason) as error:
        fetch(f"http://127.0.0.1:{answering(answer)}/faces.zip", tmp_path / "data")
    assert error.value.exit_code == 1
    assert everything_below(tmp_path) == set()


def test_a_silent_server_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    done = threading.Event()
    url = f"http://127.0.0.1:{answering(b'', done)}/faces.zip"
    try:
        with pytest.raises(DualGANError, match=r"no answer within 0.3 seconds"):
            download(url, tmp_path / "file", url, timeout=(1.0, 0.3))
    finally:
        done.set()


def test_a_server_without_tls_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    port = answering(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    with pytest.raises(DualGANError, match=r"the download failed: TLS: ") as error:
        fetch(f"https://127.0.0.1:{port}/faces.zip", tmp_path / "data")
    assert "\n" not in str(error.value)


def test_the_next_address_is_tried_where_one_fails(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "there").write_bytes(b"content")
    server = serve(tmp_path / "www")
    download_first((f"{server}/missing", f"{server}/there"), tmp_path / "file", "faces")
    assert (tmp_path / "file").read_bytes() == b"content"
    with pytest.raises(BadInput, match=r"^faces: the server answers 404 .*; use a mirror$"):
        download_first((f"{server}/missing",), tmp_path / "file", "faces", advice="use a mirror")


def test_a_download_with_another_checksum_is_refused(tmp_path: Path, serve: Serve) -> None:
    (tmp_path / "www").mkdir()
    (tmp_path / "www" / "a").write_bytes(b"abc")
    urls = (f"{serve(tmp_path / 'www')}/a",)
    right = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    download_first(urls, tmp_path / "file", "faces", right)
    with pytest.raises(DualGANError, match=f"SHA-256 {right}, not 00"):
        download_first(urls, tmp_path / "file", "faces", "00" * 32)


@pytest.mark.parametrize("url", ["ftp://host/a.zip", "http:///a.zip", "https://", "http://[::1/a.zip", "s4://b/k"])
def test_a_url_of_another_kind_is_bad_input(tmp_path: Path, url: str) -> None:
    with pytest.raises(BadInput, match=r"URL"):
        fetch(url, tmp_path / "data")
