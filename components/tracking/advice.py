"""What a log tells its reader to do: with names of things that the reader can reach, wherever the log is from."""

from pathlib import Path

# Where KFP's launcher puts a pod's artifacts, and how their addresses begin.
ARTIFACT_FOLDERS = {"/minio/": "minio://", "/s3/": "s3://", "/gcs/": "gs://"}


def artifact_address(path: Path) -> str | None:
    """The address of a pipeline's artifact that lies at ``path`` in a pod; None if it is no pod's artifact."""
    for folder, scheme in ARTIFACT_FOLDERS.items():
        if str(path).startswith(folder):
            return scheme + str(path).removeprefix(folder)
    return None


def how_to_send(run_folder: Path) -> str:
    """How MLflow gets what it lacks of a run. A pod's folder is gone with the pod, its artifact is not."""
    address = artifact_address(run_folder)
    if address:
        return f"the pipeline's last task sends it, from {address}"
    return f"`parity sync {run_folder}` sends it"
