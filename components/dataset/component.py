"""The KFP component that fetches a dataset."""

from kfp import dsl


def dataset(source: str, dataset: dsl.Output[dsl.Dataset], sha256: str = "", quarantine: bool = False) -> None:
    """Make ``dataset`` the dataset folder of ``source``: a catalogue name, URL, folder, archive or "synthetic".

    sha256: what the archive must have, for a source without one its digest; "" if nothing is known.
    quarantine: set images aside that cannot be used, instead of failing.
    """
    from pathlib import Path

    from components.common.console import print_status
    from components.common.metadata import artifact_metadata
    from components.dataset.fetch import fetch
    from components.dataset.lock import DEFAULT
    from components.dataset.options import FetchOptions

    options = FetchOptions(sha256=sha256 or None, lock=DEFAULT, quarantine=quarantine)
    description = fetch(source, Path(dataset.path), options)
    print_status(f"dataset {description.name}: {description.counts}")
    dataset.metadata.update(artifact_metadata(description._asdict()))
