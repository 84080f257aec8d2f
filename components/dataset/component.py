"""The KFP component that fetches a dataset."""

from kfp import dsl


def dataset(source: str, dataset: dsl.Output[dsl.Dataset]) -> None:
    """Make ``dataset`` the dataset folder of ``source``: a catalogue name, URL, folder, archive or "synthetic"."""
    from pathlib import Path

    from components.dataset.fetch import fetch
    from components.look.progress import say

    description = fetch(source, Path(dataset.path))
    say(f"dataset {description.name}: {description.counts}")
    dataset.metadata.update(description._asdict())
