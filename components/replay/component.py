"""The KFP components that record a trace on the reference leg, and replay it on a candidate's."""

from kfp import dsl


def trace(
    leg: dict,  # type: ignore[type-arg]
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    trace: dsl.Output[dsl.Artifact],
) -> None:
    """Record training steps on the leg; ``trace`` is a file that any other leg can replay."""
    from components.common.console import print_status
    from components.train.leg import leg_settings, require_success, run_dualgan

    settings = leg_settings(leg)
    arguments = ["trace", "--run_dir", model.path, "--data_dir", dataset.path, "--output", trace.path]
    output = require_success(settings, run_dualgan(settings, arguments))
    print_status(f"trace {settings.name}: {output.splitlines()[-1].partition(' in ')[0]}")


def replay(
    leg: dict,  # type: ignore[type-arg]
    trace: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    replay: dsl.Output[dsl.Artifact],
) -> None:
    """Do a trace's steps again on the leg; ``replay`` is a JSON file of how far off each layer and gradient is.

    A step that differs is a result, not a failure.
    """
    from pathlib import Path

    from components.common.console import print_status
    from components.train.leg import leg_settings, run_dualgan, trainer_failure
    from dualgan.errors import EXIT_BAD_INPUT
    from dualgan.run_folder import read_json

    settings, result = leg_settings(leg), Path(replay.path)
    answer = run_dualgan(settings, ["replay", trace.path, "--run_dir", model.path, "--output", replay.path])
    if answer.exit_code == EXIT_BAD_INPUT or not result.is_file():
        raise trainer_failure(settings.name, answer)
    found = read_json(result)["departures"]
    first = f"the first is {found[0]['what']} {found[0]['name']} at step {found[0]['step']}" if found else ""
    print_status(
        f"replay {settings.name}: " + (f"{len(found)} bounds exceeded, {first}" if found else "all bounds hold")
    )
