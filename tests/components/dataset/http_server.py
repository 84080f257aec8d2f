"""An HTTP server on loopback that fails as servers and networks do."""

import base64
import contextlib
import http.server
import socketserver
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

PIECE = 1 << 14


@dataclass(frozen=True)
class Answer:
    """How one request is answered. ``cut_after`` and ``hold_after`` count bytes of the body: then the connection ends,
    or nothing comes until the server's ``go_on`` is set.
    """

    status: int = 200
    content: bytes | None = None
    etag: str | None = '"first"'
    resumes: bool = True
    heeds_conditions: bool = True
    announces_length: bool = True
    cut_after: int | None = None
    hold_after: int | None = None
    # How long it takes between two pieces of the body.
    pause: float = 0.0
    headers: tuple[tuple[str, str], ...] = ()
    # For so many seconds there comes a byte of a header now and then, and then nothing.
    slow_header: float = 0.0


@dataclass
class Requests:
    """What was asked for: the first byte of each request, how much of a body was sent in all, and USER:PASSWORD."""

    starts: list[int] = field(default_factory=list)
    sent: int = 0
    logins: list[str] = field(default_factory=list)


class FaultyServer:
    """Serves ``content`` at every path. ``answers`` are for the next requests, ``usual`` is for all after them."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.answers: deque[Answer] = deque()
        self.usual = Answer()
        self.requests = Requests()
        self.go_on = threading.Event()
        handler = type("Handler", (_Handler,), {"faulty": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/faces.zip"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def close(self) -> None:
        self.go_on.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(http.server.BaseHTTPRequestHandler):
    faulty: FaultyServer

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    def do_HEAD(self) -> None:
        """Answer as S3 does, without the faults of a transfer."""
        self.send_response(200)
        self.send_header("ETag", self.faulty.usual.etag or "")
        self.send_header("Content-Length", str(len(self.faulty.content)))
        self.end_headers()

    def do_GET(self) -> None:
        answer = self.faulty.answers.popleft() if self.faulty.answers else self.faulty.usual
        content = self.faulty.content if answer.content is None else answer.content
        start = self._start(answer, len(content))
        self.faulty.requests.starts.append(start)
        kind, _, login = self.headers.get("Authorization", "").partition(" ")
        if kind == "Basic":
            self.faulty.requests.logins.append(base64.b64decode(login).decode())
        if answer.status != 200:
            content, start = answer.content or b"", 0
        past_end = start > len(content)
        self.send_response(416 if past_end else 206 if start else answer.status)
        if answer.slow_header:
            self.flush_headers()
            ends = time.monotonic() + answer.slow_header
            with contextlib.suppress(ConnectionError):
                while time.monotonic() < ends and not self.faulty.go_on.wait(0.1):
                    self.wfile.write(b"X")
            self.close_connection = True
            return
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.etag:
            self.send_header("ETag", answer.etag)
        if start and not past_end:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if answer.announces_length:
            self.send_header("Content-Length", str(max(0, len(content) - start)))
        self.end_headers()
        # A client that was killed, or has seen enough, hangs up.
        with contextlib.suppress(ConnectionError):
            self._send(content[start:], answer)

    def _start(self, answer: Answer, size: int) -> int:
        asked = self.headers.get("Range", "").removeprefix("bytes=").removesuffix("-")
        if not asked or not answer.resumes:
            return 0
        condition = self.headers.get("If-Range")
        if answer.heeds_conditions and condition is not None and condition != answer.etag:
            return 0
        return int(asked)

    def _send(self, body: bytes, answer: Answer) -> None:
        stops = sorted(stop for stop in (answer.cut_after, answer.hold_after) if stop is not None)
        position = 0
        for stop in [*stops, len(body)]:
            while position < min(stop, len(body)):
                piece = body[position : min(stop, position + PIECE)]
                self.wfile.write(piece)
                position += len(piece)
                time.sleep(answer.pause)
                self.faulty.requests.sent += len(piece)
            if position == answer.cut_after:
                self.close_connection = True
                return
            if position == answer.hold_after:
                self.faulty.go_on.wait(60)


@contextlib.contextmanager
def raw_server(start: bytes, again: bytes, pause: float) -> Iterator[str]:
    """The address of a server that answers with ``start``, and then with ``again`` for ever."""
    ended = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with contextlib.suppress(OSError):
                self.request.recv(1 << 16)
                self.request.sendall(start)
                while again and not ended.wait(pause):
                    self.request.sendall(again)

    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/a.zip"
    finally:
        ended.set()
        server.shutdown()
        server.server_close()
