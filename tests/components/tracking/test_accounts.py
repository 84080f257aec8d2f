"""What is not there is told from what is not allowed, by a server with basic auth as by one without."""

from collections.abc import Callable

import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from components.tracking.reasons import explain
from components.tracking.runs import find_experiment, find_run, open_experiment, version_with_alias
from components.tracking.store import connect
from tests.components.tracking.servers import Login, LoginServer, variables

pytestmark = pytest.mark.system

TASKS, STRANGER = "tasks", "stranger"


@pytest.fixture(scope="module")
def accounts(with_login: LoginServer) -> dict[str, Login]:
    return {name: with_login.new_account(name) for name in (TASKS, STRANGER)}


@pytest.fixture
def log_in(accounts: dict[str, Login], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def log_in(name: str) -> None:
        for variable, value in variables(accounts[name]).items():
            monkeypatch.setenv(variable, value)

    return log_in


@pytest.fixture(params=["with_login", "server"])
def client(request: pytest.FixtureRequest, log_in: Callable[[str], None]) -> MlflowClient:
    """Of the account that tasks use, no admin, and of nobody where nobody is asked who they are."""
    log_in(TASKS)
    found = request.getfixturevalue(request.param)
    return connect(found.address if isinstance(found, LoginServer) else found)


def test_what_is_not_there_is_not_found_and_what_is_there_is(client: MlflowClient) -> None:
    assert find_experiment(client, "looked-for") is None
    assert find_run(client, "0" * 32) is None
    assert version_with_alias(client, "shapes", "champion") is None
    client.create_registered_model("shapes")
    run = client.create_run(open_experiment(client, "looked-for")).info
    made = client.create_model_version("shapes", f"{run.artifact_uri}/model", run.run_id)
    assert version_with_alias(client, "shapes", "champion") is None
    client.set_registered_model_alias("shapes", "champion", made.version)
    run_found, version = find_run(client, run.run_id), version_with_alias(client, "shapes", "champion")
    assert run_found and run_found.info.run_id == run.run_id
    assert version and str(version.version) == str(made.version)


def test_what_is_not_allowed_is_said_to_be(with_login: LoginServer, log_in: Callable[[str], None]) -> None:
    log_in(TASKS)
    client = connect(with_login.address)
    client.create_registered_model("theirs")
    with_login.deny(STRANGER, "registered_model", "theirs")
    log_in(STRANGER)
    with pytest.raises(MlflowException) as caught:
        version_with_alias(client, "theirs", "champion")
    assert "not allowed" in explain(caught.value, with_login.address)
    assert version_with_alias(client, "nobodys", "champion") is None


@pytest.mark.parametrize(
    "look", [lambda client: version_with_alias(client, "x", "y"), lambda client: find_run(client, "0")]
)
def test_a_login_that_is_wrong_is_said_to_be(
    with_login: LoginServer, monkeypatch: pytest.MonkeyPatch, look: Callable[[MlflowClient], object]
) -> None:
    for variable, value in variables(("tasks", "not-their-password")).items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(MlflowException) as caught:
        look(connect(with_login.address))
    assert "login refused" in explain(caught.value, with_login.address)
