"""Make MLflow's accounts, or give them their passwords again: a file's name is an account's, its text the password."""

import os
import sys
from pathlib import Path

import requests

USERS = f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/users"
ADMIN = (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"])


def ensure(name: str, password: str) -> None:
    """Make the account, or change its password to this one. Raises requests.HTTPError if MLflow refuses."""
    body = {"username": name, "password": password}
    answer = requests.post(f"{USERS}/create", json=body, auth=ADMIN, timeout=60)
    if answer.status_code == requests.codes.bad_request and "RESOURCE_ALREADY_EXISTS" in answer.text:
        answer = requests.patch(f"{USERS}/update-password", json=body, auth=ADMIN, timeout=60)
    answer.raise_for_status()


def main(folder: Path) -> None:
    # Kubernetes puts names that begin with a dot beside a secret's keys.
    for file in sorted(folder.glob("[!.]*")):
        try:
            ensure(file.name, file.read_text().strip())
        except requests.RequestException as error:
            reason = error.response.text if error.response is not None else error
            sys.exit(f"account {file.name}: {reason}")
        print(f"account {file.name}: ready")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
