"""An nginx that lets nobody through to KFP without a session."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.services import SECONDS, free_port

# A login that sends whoever has no session to its page, as Kubeflow's oauth2-proxy and Dex do.
LOGIN_PROXY = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location /pipeline/ {{
      if ($cookie_session != "{session}") {{ return 302 /login; }}
      proxy_pass {backend}/;
    }}
  }}
}}
"""


@contextlib.contextmanager
def login_proxy(backend: str, certificate: Path, session: str, folder: Path) -> Iterator[str]:
    """The address of an nginx with TLS that passes /pipeline/ on to ``backend`` if the cookie ``session`` is right."""
    port, configuration, log = free_port(), folder / "nginx.conf", folder / "nginx.log"
    text = LOGIN_PROXY.format(folder=folder, port=port, certificate=certificate, session=session, backend=backend)
    configuration.write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(configuration), "-e", str(log)]
    with subprocess.Popen(command) as process:
        try:
            deadline = time.monotonic() + SECONDS
            while True:
                with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port)):
                    break
                assert process.poll() is None and time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield f"https://127.0.0.1:{port}"
        finally:
            process.terminate()
