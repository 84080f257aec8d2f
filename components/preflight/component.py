"""The KFP components that end a run within minutes if something that it needs later is not there."""


def preflight(dataset: str, checkpoints: str, tracking_uri: str, experiment: str) -> None:
    """Fail, naming every fault, unless dataset, bucket and MLflow answer.

    checkpoints: s3://bucket/prefix, "" if there is none.
    """
    from components.common.console import print_status
    from components.preflight.preflight import Requirements, find_faults, require_none

    faults = find_faults(Requirements(dataset, checkpoints, tracking_uri, experiment, on_cluster=True))
    for line in faults:
        print_status(f"preflight: {line}")
    require_none(faults)
    print_status("preflight: dataset, bucket and MLflow are as the run needs them")


def image_preflight() -> None:
    """Succeed: a task of another revision than its package never begins, here without its leg's accelerator."""
    from components.common.console import print_status

    print_status("preflight: this image is of the package's revision")
