"""Where KFP's API is, how it is reached, and with which login.

Addresses and credentials come from where KFP's own command line takes them: KFP_ENDPOINT (or KF_PIPELINES_ENDPOINT),
KFP_NAMESPACE, KFP_EXISTING_TOKEN, and KF_PIPELINES_SA_TOKEN_PATH for a pod's token, which is read anew for each call.
Proxies and certificates are those of HTTPS_PROXY, NO_PROXY, REQUESTS_CA_BUNDLE and SSL_CERT_FILE.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.auth import HTTPBasicAuth

from components.common.address import Address
from dualgan.errors import BadInput

ENDPOINT_VARIABLES = ("KFP_ENDPOINT", "KF_PIPELINES_ENDPOINT")
NAMESPACE_VARIABLE, COOKIES_VARIABLE = "KFP_NAMESPACE", "KFP_COOKIES"
TOKEN_VARIABLE, TOKEN_FILE_VARIABLE = "KFP_EXISTING_TOKEN", "KF_PIPELINES_SA_TOKEN_PATH"
CA_VARIABLES = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
# KFP's command line takes this name to mean a KFP without users, and so do we.
DEFAULT_NAMESPACE = "kubeflow"
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


@dataclass(frozen=True)
class Endpoint:
    """Where KFP's API is. ``namespace`` is that of a KFP with many users, "" for one without.

    headers: what each request has besides; ca_file: certificates to trust instead of the system's; retries: further
    tries of a call; timeout: seconds for each.
    """

    url: Address
    namespace: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: str | None = None
    retries: int = 3
    timeout: float = 30.0

    def session(self) -> requests.Session:
        """Return what requests are made with."""
        session = requests.Session()
        session.headers.update({"Accept-Encoding": "identity", **self.headers})
        # A server's own cookies would take the place of those that are given.
        session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        session.auth = self._log_in
        return session

    def _log_in(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token, file = os.environ.get(TOKEN_VARIABLE, "").strip(), os.environ.get(TOKEN_FILE_VARIABLE)
        if not token and file:
            try:
                token = Path(file).read_text(encoding="utf-8", errors="replace").strip()
            except OSError as error:
                raise BadInput(f"{TOKEN_FILE_VARIABLE}: {error}") from None
        if not (token.isascii() and token.isprintable()):
            # Without the text, which is a secret.
            raise BadInput(f"{TOKEN_VARIABLE}, {TOKEN_FILE_VARIABLE}: a token must be printable ASCII")
        if token:
            request.headers["Authorization"] = f"Bearer {token}"
        elif self.url.password:
            # For what stands before KFP.
            HTTPBasicAuth(self.url.username, self.url.password)(request)
        return request


def endpoint(
    url: str | None, namespace: str | None, ca_file: str | None = None, headers: Sequence[str] = (), **patience: Any
) -> Endpoint:
    """Return the endpoint that options and environment name. Raises BadInput if something is missing or wrong.

    headers: NAME=VALUE each.
    """
    found = url or next(filter(None, map(os.environ.get, ENDPOINT_VARIABLES)), None)
    if not found:
        raise BadInput("no address of KFP's API: give --endpoint, or set KFP_ENDPOINT")
    address = found.rstrip("/") if "://" in found else f"https://{found.rstrip('/')}"
    try:
        parts = urlsplit(address)
        known = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        known = False
    if not known:
        raise BadInput(f"--endpoint {Address(found)}: no address such as http://localhost:8080")
    space = namespace if namespace is not None else os.environ.get(NAMESPACE_VARIABLE, "")
    ca_file = ca_file or next(filter(None, map(os.environ.get, CA_VARIABLES)), None)
    if ca_file and not Path(ca_file).exists():
        raise BadInput(f"--ca-file {ca_file}: no such file")
    cookies = os.environ.get(COOKIES_VARIABLE)
    pairs = [text.partition("=") for text in (*([f"Cookie={cookies}"] if cookies else []), *headers)]
    for name, equals, value in pairs:
        if not (equals and HEADER_NAME.fullmatch(name) and value.isascii() and value.isprintable()):
            # Without the text, which may be a secret.
            raise BadInput(f"--header, {COOKIES_VARIABLE}: must be NAME=VALUE, as HTTP allows it")
    return Endpoint(
        Address(address),
        "" if space == DEFAULT_NAMESPACE else space,
        {name: value for name, _, value in pairs},
        ca_file,
        **patience,
    )
