import pickle

import pytest

from components.common.address import Address, without_logins

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
    ],
)
def test_the_text_form_of_an_address_never_holds_its_login(text: str, shown: str) -> None:
    address = Address(text)

    assert (str(address), f"{address}", f"{address!r}") == (shown, shown, f"Address({shown!r})")
    assert f"{address:>90}" == f"{shown:>90}"
    assert address.has_secret
    assert address.reveal() == Address(address).reveal() == pickle.loads(pickle.dumps(address)).reveal() == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://mlflow:5000/a@b?c=d@e",
        "http://[::1]:5000",
        "sqlite:////a b/me@home/mlflow.db",
        "/data/me@home",
        "user@host/x",
        "s3://bucket/key=1",
        "mlflow:0123abc",
        "猫",
    ],
)
def test_an_address_without_a_login_stays_as_it_is(text: str) -> None:
    assert str(Address(text)) == Address(text).reveal() == text
    assert not Address(text).has_secret


def test_a_client_gets_the_login_apart_from_the_address() -> None:
    address = Address("https://m%40e:a%2Fb@host/path")

    assert (address.username, address.password) == ("m@e", "a/b")
    assert address.without_login == Address("https://host/path")
    assert address.is_http
    assert not Address("sqlite:///x").is_http


def test_a_message_of_a_library_loses_the_logins_of_its_addresses() -> None:
    message = f"API request to http://me:{SECRET}@mlflow:5000/api failed; see 'ftp://{SECRET}@x/y', or a@b"

    assert without_logins(message) == "API request to http://mlflow:5000/api failed; see 'ftp://x/y', or a@b"
