"""The KFP components that record a trace on the reference leg, and replay it on a candidate's."""

from kfp import dsl


def trace(
    leg: dict,  # type: ignore[type-arg]
    dataset: dsl.Input[dsl.Dataset],
    model: dsl.Input[dsl.Model],
    trace: dsl.Output[dsl.Artifact],
) -> None:
    """Record training steps on the leg; ``trace`` is a file that any other leg can replay."""
    from pathlib import Path

    from components.replay.replay import record_trace
    from components.train.leg import leg_settings

    record_trace(leg_settings(leg), Path(dataset.path), Path(model.path), Path(trace.path))


def replay(
    leg: dict,  # type: ignore[type-arg]
    trace: dsl.Input[dsl.Artifact],
    model: dsl.Input[dsl.Model],
    replay: dsl.Output[dsl.Artifact],
) -> None:
    """Do a trace's steps again on the leg; ``replay`` is a JSON file of how far off each layer and gradient is."""
    from pathlib import Path

    from components.replay.replay import replay_trace
    from components.train.leg import leg_settings

    replay_trace(leg_settings(leg), Path(trace.path), Path(model.path), Path(replay.path))
