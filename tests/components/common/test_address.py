import pickle
import time

import pytest

from components.common.address import Address
from components.common.console import print_status
from dualgan.errors import BadInput, DualGANError, exit_code_of, warn, without_logins

SECRET = "s3cr3t"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"http://me:{SECRET}@mlflow:5000/path", "http://mlflow:5000/path"),
        (f"http://{SECRET}@mlflow:5000", "http://mlflow:5000"),
        (f"HTTPS://me:{SECRET}@[::1]:80/?a=b#c", "HTTPS://[::1]:80/?a=b#c"),
        (f"http://me:a/b?{SECRET}#@host/path", "http://host/path"),
        (f"http://me:a@{SECRET}@host", "http://host"),
        (f"http://[broken:{SECRET}@host", "http://host"),
        (f"postgresql+psycopg2://me:{SECRET}@db/mlflow", "postgresql+psycopg2://db/mlflow"),
        (f"postgresql://db/mlflow?user=me&password={SECRET}", "postgresql://db/mlflow?user=me&password=***"),
        (
            f"https://s3/a.zip?X-Amz-Date=1&X-Amz-Signature={SECRET}",
            "https://s3/a.zip?X-Amz-Date=1&X-Amz-Signature=***",
        ),
        (f"me:{SECRET}@host:8080/path", "host:8080/path"),
        (f"http://me:12/{SECRET}@host/path", "http://host/path"),
        (f"s3://me:{SECRET}@bucket/key", "s3://bucket/key"),
        (f"http:/me:{SECRET}@host/path", "http:/host/path"),
    ],
)
def test_the_text_form_of_an_address_never_holds_its_login(text: str, shown: str) -> None:
    address = Address(text)

    assert (str(address), f"{address}", f"{address!r}") == (shown, shown, f"Address({shown!r})")
    assert address.has_secret
    assert address.reveal() == Address(address).reveal() == pickle.loads(pickle.dumps(address)).reveal() == text


WITHOUT_LOGIN = (
    "",
    "http://mlflow/a@b?c=d@e",
    "models:/faces@champion",
    "file:///a:b/c@d",
    "http://[::1]:5000",
    "sqlite:////a b/me@home/mlflow.db",
    "/data/me@home",
    "user@host/x",
    "s3://bucket/key=1",
    "猫",
)


@pytest.mark.parametrize("text", WITHOUT_LOGIN)
def test_an_address_without_a_login_stays_as_it_is(text: str) -> None:
    assert str(Address(text)) == Address(text).reveal() == text
    assert not Address(text).has_secret


def test_a_client_gets_the_login_apart_from_the_address() -> None:
    address = Address("https://m%40e:a%2Fb@host/path")

    assert (address.username, address.password) == ("m@e", "a/b")
    assert address.without_login == Address("https://host/path")
    assert address.is_http
    assert not Address("sqlite:///x").is_http


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (
            f"API request to http://me:{SECRET}@mlflow:5000/api failed; see 'ftp://{SECRET}@x/y', or a@b",
            "API request to http://mlflow:5000/api failed; see 'ftp://x/y', or a@b",
        ),
        (f"http://me:12/{SECRET}@host/x: gone", "http://host/x: gone"),
        (f"reference http:/me:{SECRET}@h/x: gone", "reference http:/h/x: gone"),
        (f"'me:{SECRET}@127.0.0.1:1' is no store", "'127.0.0.1:1' is no store"),
        (f"me:{SECRET}@host/x.zip: gone", "host/x.zip: gone"),
        (f"GET http://h/a.zip?token={SECRET}&b=1", "GET http://h/a.zip?token=***&b=1"),
        ("mail me@x.org: see /data/me@home:8/a@b.png", "mail me@x.org: see /data/me@home:8/a@b.png"),
        ("image team/parity:1@sha256:ab, models:/x@champion", "image team/parity:1@sha256:ab, models:/x@champion"),
    ],
)
def test_what_is_printed_loses_the_logins_of_addresses_and_nothing_else(
    message: str, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: list[str]) -> int:
        raise BadInput(message)

    assert str(DualGANError(message)) == without_logins(message) == shown
    assert exit_code_of(fail, []) == 2
    print_status(message)
    warn(message)
    printed = capsys.readouterr()
    assert printed.err == f"error: {shown}\nwarning: {shown}\n" and printed.out == f"{shown}\n"


def test_hostile_lines_are_printed_at_once() -> None:
    began = time.monotonic()
    for text in ("a://b:" * 5_000 + "@", "(" * 30_000 + "@:", "?" * 30_000 + "=", "x:y" * 10_000 + "@"):
        without_logins(text)
    assert time.monotonic() - began < 5
