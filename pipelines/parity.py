"""The parity pipeline: dataset -> train, sample (each leg and seed) -> compare, publish (each candidate).

The reference also records a trace of its first steps, which each candidate replays. On a cluster, tasks without an
accelerator come first, and end the run if something that it needs later is not there.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from kfp import dsl

from components.compare.component import compare
from components.dataset import component as dataset_component
from components.dataset.sources import S3Location, parse_source
from components.preflight.component import image_preflight, preflight
from components.publish.component import publish
from components.replay.component import replay, trace
from components.sample.component import sample
from components.train.component import train
from components.train.runtimes import code_commit
from dualgan.options import parsed_options
from pipelines.fingerprint import fingerprint
from pipelines.profile import Profile, Resources
from pipelines.scheduling import MLFLOW, S3, apply_defaults

PIPELINE_NAME = "dualgan-parity"


def build(profile: Profile, on_cluster: bool = False, run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER) -> Any:
    """Return the KFP pipeline of ``profile``. Legs are unrolled, so that its graph shows each by name.

    Args:
        profile: Its legs, images and resources.
        on_cluster: Whether its first tasks look for what the others need, and KFP tries a task again. A trainer that
            dies is started again within its task all the same.
        run_id: What the run is called in MLflow.
    """
    legs = {leg.name: leg for leg in profile.legs}

    @dsl.pipeline(name=f"{PIPELINE_NAME}-{profile.name}", description=profile.description)  # type: ignore[untyped-decorator]
    def parity(
        dataset: str = profile.dataset,
        options: dict = {},  # type: ignore[type-arg]  # noqa: B006 - KFP takes the default as a constant
        tracking_uri: str = "",
        experiment: str = "",
        dataset_sha256: str = "",
        quarantine: bool = False,
    ) -> None:
        tracking = {"pipeline_run_id": run_id, "tracking_uri": tracking_uri, "experiment": experiment}
        fetched = _task("dataset", dataset_component.dataset, profile.image)(
            source=dataset,
            options=options,
            sha256=dataset_sha256,
            quarantine=quarantine,
            max_pixels=parsed_options(profile.options).get("max_pixels", 0),
        )
        trained, drawn = {}, {}
        if on_cluster:
            fetched.after(*_preflight_tasks(profile, dataset, tracking_uri, experiment))
        # Each with what it asks for, and the servers that it speaks with. A dataset, which strangers may have made, and
        # the checkpoints of a training may be in S3.
        tasks: list[tuple[Any, Resources, tuple[str, ...]]] = [(fetched, profile.resources, dataset_servers(profile))]
        mirror = (S3,) if profile.checkpoints else ()
        for name, leg in legs.items():
            settings, image = asdict(profile.settings(leg)), leg.image or profile.image
            for seed in profile.seeds:
                trained[name, seed] = _task(f"train-{name}-seed-{seed}", train, image)(
                    leg=settings,
                    dataset=fetched.outputs["dataset"],
                    overrides=options,
                    seed=seed,
                    retries=profile.retries,
                    checkpoints=profile.checkpoints,
                    **tracking,
                )
                drawn[name, seed] = _task(f"sample-{name}-seed-{seed}", sample, image)(
                    leg=settings,
                    dataset=fetched.outputs["dataset"],
                    model=trained[name, seed].outputs["model"],
                    seed=seed,
                    checkpoints=profile.checkpoints,
                    pipeline_run_id=run_id,
                )
                tasks.append((trained[name, seed], profile.training_resources(leg), (MLFLOW, *mirror)))
                tasks.append((drawn[name, seed], profile.step_resources(leg), mirror))
        first = profile.seeds[0]
        reference = legs.get(profile.reference or "")
        traced = None
        if reference:
            traced = _task(f"trace-{reference.name}", trace, reference.image or profile.image)(
                leg=asdict(profile.settings(reference)),
                dataset=fetched.outputs["dataset"],
                model=trained[reference.name, first].outputs["model"],
            )
            tasks.append((traced, profile.step_resources(reference), ()))
        for leg in profile.candidates:
            name, image, settings = leg.name, leg.image or profile.image, asdict(profile.settings(leg))
            inputs = _records("candidate", [(trained[name, seed], drawn[name, seed]) for seed in profile.seeds])
            if reference and traced:
                of_reference = [(trained[reference.name, seed], drawn[reference.name, seed]) for seed in profile.seeds]
                replayed = _task(f"replay-{name}", replay, image)(
                    leg=settings, trace=traced.outputs["trace"], model=trained[name, first].outputs["model"]
                )
                tasks.append((replayed, profile.step_resources(leg), ()))
                inputs |= {**_records("reference", of_reference), "replay": replayed.outputs["replay"]}
            against = reference.name if reference else "record"
            compared = _task(f"compare-{name}-with-{against}", compare, profile.image)(
                candidate=name,
                reference=profile.reference or "",
                recorded=profile.recorded_reference or "",
                bounds=dict(profile.bounds),
                **inputs,
                **tracking,
            )
            published = _task(f"publish-{name}", publish, image)(
                leg=settings,
                model=trained[name, first].outputs["model"],
                comparison=compared.outputs["comparison"],
                tags=fingerprint(profile),
                hours=profile.mlflow_hours,
                **{input_name: records for input_name, records in inputs.items() if "_records_" in input_name},
                **tracking,
            )
            tasks.append((compared, profile.resources, (MLFLOW,)))
            tasks.append((published, profile.publishing_resources(leg), (MLFLOW,)))
        for task, resources, servers in tasks:
            apply_defaults(task, profile, resources, servers, profile.retries if on_cluster else 0)

    return parity


def _preflight_tasks(profile: Profile, dataset: Any, tracking_uri: Any, experiment: Any) -> list[Any]:
    """The tasks that come first: one for all that is behind addresses, and one for each image of a leg's own.

    They have one try: a person waits for what they say.
    """
    revision = code_commit() or ""
    first = _task("preflight", preflight, profile.image)(
        dataset=dataset,
        checkpoints=profile.checkpoints,
        tracking_uri=tracking_uri,
        experiment=experiment,
        image=profile.image,
        revision=revision,
    )
    apply_defaults(first, profile, profile.preflight_resources(), (S3, MLFLOW), retries=0)
    tasks = [first]
    for leg in profile.legs:
        if leg.image and leg.image != profile.image:
            task = _task(f"preflight-{leg.name}", image_preflight, leg.image)(image=leg.image, revision=revision)
            apply_defaults(task, profile, profile.preflight_resources(leg), (), retries=0)
            tasks.append(task)
    return tasks


def dataset_servers(profile: Profile) -> tuple[str, ...]:
    """Return (S3,) if the profile's dataset is there, or is named only when a run is submitted."""
    return (S3,) if not profile.dataset or isinstance(parse_source(profile.dataset), S3Location) else ()


def _records(side: str, tasks: Sequence[tuple[Any, Any]]) -> dict[str, Any]:
    """The inputs of the comparison for one leg; ``tasks`` are the training and the sampling of each seed."""
    inputs = {}
    for number, (trained, drawn) in enumerate(tasks, 1):
        inputs[f"{side}_records_{number}"] = trained.outputs["records"]
        inputs[f"{side}_samples_{number}"] = drawn.outputs["samples"]
    return inputs


def _task(name: str, function: Callable[..., Any], image: str) -> Any:
    """Return a component of ``function`` that runs in ``image``, which holds kfp, and is called ``name`` in the graph.

    KFP's shell command, which leaves a folder in /tmp, gives way to a program of ours that runs the same executor.
    """
    component = dsl.component(function, base_image=image, install_kfp_package=False)
    component.component_spec.name = name
    container = component.component_spec.implementation.container
    container.command = ["python3", "-m", "components.common.task", "kfp.dsl.executor_main", container.command[-1]]
    return component
