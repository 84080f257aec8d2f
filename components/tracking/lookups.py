"""Questions to MLflow about what may not be there.

A server with basic auth answers 403, as if it were forbidden, to many a question about something that it does not
have. So each of these asks the one thing that tells "not there" from "not allowed", with basic auth on and off, and
lets MLflow's exception through for the latter.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

NOT_THERE, NOT_ALLOWED = "RESOURCE_DOES_NOT_EXIST", "PERMISSION_DENIED"


def version_with_alias(client: "MlflowClient", name: str, alias: str) -> "ModelVersion | None":
    """The version of the registered model ``name`` that has ``alias``; None if there is no such model or alias.

    A look for the alias itself is refused if the model is not there; a look for the model says which of the two it is.
    """
    from mlflow.exceptions import MlflowException

    try:
        model = client.get_registered_model(name)
    except MlflowException as error:
        if error.error_code == NOT_THERE:
            return None
        raise
    version = model.aliases.get(alias)
    return client.get_model_version(name, str(version)) if version else None


def find_run(client: "MlflowClient", run_id: str) -> "Run | None":
    """The run, None if there is none that this account may read.

    A look for a run that is not there is refused; a search among the runs that may be read finds nothing.
    """
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code not in (NOT_THERE, NOT_ALLOWED):
            raise
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    found = client.search_runs(experiments, f"attributes.run_id = '{run_id}'", max_results=1)
    return found[0] if found else None
