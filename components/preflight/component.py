"""The KFP components that end a run within minutes if something that it needs later is not there."""


def preflight(dataset: str, checkpoints: str, tracking_uri: str, experiment: str, image: str, revision: str) -> None:
    """Fail, naming every fault, unless dataset, bucket and MLflow answer and this image is of the package's revision.

    checkpoints: s3://bucket/prefix, "" if there is none. revision: commit of the package; "" if that is not known.
    """
    from components.common.console import print_status
    from components.preflight.preflight import Requirements, find_faults, find_image_faults, require_none

    needed = Requirements(dataset, checkpoints, tracking_uri, experiment, on_cluster=True)
    faults = [*find_faults(needed), *find_image_faults(image, revision)]
    for line in faults:
        print_status(f"preflight: {line}")
    require_none(faults)
    print_status("preflight: dataset, bucket, MLflow and image are as the run needs them")


def image_preflight(image: str, revision: str) -> None:
    """Fail unless this image is of the package's revision: a leg's own image, without its accelerator."""
    from components.common.console import print_status
    from components.preflight.preflight import find_image_faults, require_none

    require_none(find_image_faults(image, revision))
    print_status(f"preflight: image {image} is of the package's revision")
