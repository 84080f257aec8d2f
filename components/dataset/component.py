"""The KFP component that fetches a dataset."""

from kfp import dsl


def dataset(
    source: str,
    dataset: dsl.Output[dsl.Dataset],
    options: dict,  # type: ignore[type-arg]
    sha256: str = "",
    quarantine: bool = False,
    max_pixels: int = 0,
    pipeline_run_id: str = "",
) -> None:
    """Make ``dataset`` the dataset folder of ``source``: a catalogue name, URL, folder, archive or "synthetic".

    options: the trainer's that a run sets; its max_pixels holds here too. sha256: what the archive must have, for a
    source without one its digest; "" if nothing is known. quarantine: set images aside that cannot be used, instead of
    failing. max_pixels: the profile's, which counts if ``options`` has none; 0 for the default. pipeline_run_id: the
    run whose dataset it is, by which KFP's cache knows it.
    """
    from pathlib import Path

    from components.common.console import print_status
    from components.common.metadata import artifact_metadata
    from components.dataset.fetch import fetch
    from components.dataset.options import DEFAULT_LOCK, FetchOptions
    from dualgan.options import from_dict

    of_profile = {"max_pixels": max_pixels} if max_pixels else {}
    limit = from_dict({**of_profile, **options}).max_pixels
    how = FetchOptions(sha256=sha256 or None, lock=DEFAULT_LOCK, quarantine=quarantine, max_pixels=limit)
    description = fetch(source, Path(dataset.path), how)
    print_status(f"dataset {description.name}: {description.counts}")
    dataset.metadata.update(artifact_metadata(description._asdict()))
