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
    """Draw every validation image with the trained leg; ``samples`` is a folder with six pictures of each.

    checkpoints: as the training had it; what it left there is deleted, since ``model`` has arrived whole.
    """
    from pathlib import Path

    from components.common.console import print_status
    from components.common.html import write_sheet
    from components.train.checkpoint_mirror import delete_mirror, training_uri
    from components.train.leg import leg_settings, require_success, run_dualgan
    from dualgan.run_folder import read_samples

    settings = leg_settings(leg)
    arguments = ["sample", "--run_dir", model.path, "--data_dir", dataset.path, "--output", samples.path]
    require_success(settings, run_dualgan(settings, [*arguments, "--device", settings.device]))
    write_sheet(Path(samples.path), f"DualGAN samples of leg {settings.name}, seed {seed}", Path(sheet.path))
    kinds = [picture.kind for picture in read_samples(Path(samples.path))]
    drawn = f"drew {kinds.count('real_A')} images of A and {kinds.count('real_B')} of B"
    print_status(f"sample {settings.name} seed {seed}: {drawn}")
    delete_mirror(training_uri(checkpoints, pipeline_run_id, settings.name, seed), print_status)
