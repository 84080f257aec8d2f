"""The KFP component that draws a leg's validation images."""

from kfp import dsl


def sample(
    leg: dict,  # type: ignore[type-arg]
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    samples: dsl.Output[dsl.Artifact],
    sheet: dsl.Output[dsl.HTML],
) -> None:
    """Draw every validation image with the trained leg; ``samples`` is a folder of pictures."""
    from pathlib import Path

    from components.sample.draw import draw
    from components.train.leg import leg_settings

    draw(leg_settings(leg), Path(dataset.path), Path(model.path), Path(samples.path), Path(sheet.path))
