"""What stands before a server and refuses: a login that has expired, a name that is not allowed."""

import http.server
import threading
import urllib.error
import urllib.request
from types import TracebackType
from typing import NamedTuple


class Refusal(NamedTuple):
    status: int
    body: str


# The words of MLflow 3.17's own servers.
NO_LOGIN = Refusal(401, "You are not authenticated. Please see https://www.mlflow.org/docs/latest/auth/index.html")
AWAY = Refusal(503, "Service Unavailable")
NO_HOST = Refusal(403, "Invalid Host header - possible DNS rebinding attack detected")


class Guard:
    """Passes requests on to the server at ``address``, unless ``refusal`` is set: then that is the answer."""

    def __init__(self, address: str) -> None:
        self.refusal: Refusal | None = None
        self.refused = 0
        guard = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = guard._answer(address, self.command, self.path, body, dict(self.headers))
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass_on

            def log_message(self, format: str, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def _answer(self, address: str, method: str, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        if self.refusal is not None:
            self.refused += 1
            return self.refusal.status, self.refusal.body.encode()
        kept = {name: value for name, value in headers.items() if name.lower() in ("content-type", "authorization")}
        request = urllib.request.Request(f"{address}{path}", body or None, kept, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read()
        except urllib.error.HTTPError as error:
            return error.code, error.read()

    def __enter__(self) -> "Guard":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
