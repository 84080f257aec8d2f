"""The KFP component that draws a leg's validation images."""

from kfp import dsl


def sample(
    leg: dict,  # type: ignore[type-arg]
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    seed: int,
    pipeline_run_id: str,
    samples: dsl.Output[dsl.Artifact],
    sheet: dsl.Output[dsl.HTML],
    checkpoints: str = "",
) -> None:
    """Draw every validation image with the trained leg; ``samples`` is a folder of pictures.

    checkpoints: as the training had it; what it left there is deleted, since ``model`` has arrived whole.
    """
    from pathlib import Path

    from components.common.console import print_status
    from components.sample.draw import draw
    from components.train.checkpoint_mirror import delete_mirror, training_uri
    from components.train.leg import leg_settings

    draw(leg_settings(leg), Path(dataset.path), Path(model.path), Path(samples.path), Path(sheet.path))
    delete_mirror(training_uri(checkpoints, pipeline_run_id, leg["name"], seed), print_status)
