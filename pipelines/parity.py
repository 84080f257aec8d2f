"""The parity pipeline: dataset -> train, sample (each leg and seed) -> compare, publish (each candidate).

The reference also records a trace of its first steps, which each candidate replays. On a cluster, tasks without an
accelerator come first, and end the run if something that it needs later is not there.
"""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kfp import dsl

from components.common.revision import PACKAGE_VARIABLE, code_commit
from components.compare.component import compare
from components.dataset import component as dataset_component
from components.preflight.component import image_preflight, preflight
from components.publish.component import publish
from components.replay.component import replay, trace
from components.sample.component import sample
from components.train.component import train
from dualgan.options import parsed_options
from pipelines.fingerprint import fingerprint
from pipelines.profile import LegProfile, Profile
from pipelines.scheduling import apply_defaults

PIPELINE_NAME = "dualgan-parity"


def build(profile: Profile, on_cluster: bool = False, run_id: str = dsl.PIPELINE_JOB_ID_PLACEHOLDER) -> Any:
    """Return the KFP pipeline of ``profile``. Legs are unrolled, so that its graph shows each by name.

    Args:
        on_cluster: Whether its first tasks look for what the others need, and KFP tries a task again. A trainer that
            dies is started again within its task all the same.
        run_id: What the run is called in MLflow.
    """
    reference = next((leg for leg in profile.legs if leg.name == profile.reference), None)
    first = profile.seeds[0]
    # On this machine, where code changes from run to run, an older image is only said to be one.
    revision = code_commit() if on_cluster else None

    def task(name: str, function: Callable[..., Any], of: LegProfile | None, /, **inputs: Any) -> Any:
        """Add a task, in the image of the leg ``of`` or in the profile's own."""
        made = component(name, function, of.image or profile.image if of else profile.image)(**inputs)
        # A person waits for what the first tasks say.
        retries = profile.retries if on_cluster and not name.startswith("preflight") else 0
        apply_defaults(made, profile, of, retries)
        if revision:
            made.set_env_variable(PACKAGE_VARIABLE, revision)
        return made

    def preflight_tasks(dataset: Any, tracking_uri: Any, experiment: Any) -> list[Any]:
        """Add what comes first: a look at all that is behind addresses, and one at each image of a leg's own."""
        given = {"dataset": dataset, "tracking_uri": tracking_uri, "experiment": experiment}
        others = [leg for leg in profile.legs if leg.image and leg.image != profile.image]
        return [
            task("preflight", preflight, None, checkpoints=profile.checkpoints, **given),
            *(task(f"preflight-{leg.name}", image_preflight, leg) for leg in others),
        ]

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
        fetched = task(
            "dataset",
            dataset_component.dataset,
            None,
            source=dataset,
            options=options,
            sha256=dataset_sha256,
            quarantine=quarantine,
            max_pixels=parsed_options(profile.options).get("max_pixels", 0),
            pipeline_run_id=run_id,
        )
        if on_cluster:
            fetched.after(*preflight_tasks(dataset, tracking_uri, experiment))
        images = fetched.outputs["dataset"]
        settings = {leg.name: asdict(profile.settings(leg)) for leg in profile.legs}
        models: dict[tuple[str, int], Any] = {}
        # Of the comparison, by the leg that they come from.
        inputs: dict[str, dict[str, Any]] = {}
        for leg in profile.legs:
            side = "reference" if leg is reference else "candidate"
            inputs[leg.name] = {}
            own = {"leg": settings[leg.name], "dataset": images, "checkpoints": profile.checkpoints}
            for number, seed in enumerate(profile.seeds, 1):
                trained = task(
                    f"train-{leg.name}-seed-{seed}",
                    train,
                    leg,
                    overrides=options,
                    seed=seed,
                    retries=profile.retries,
                    **own,
                    **tracking,
                )
                model = models[leg.name, seed] = trained.outputs["model"]
                drawn = task(
                    f"sample-{leg.name}-seed-{seed}", sample, leg, model=model, seed=seed, pipeline_run_id=run_id, **own
                )
                inputs[leg.name] |= {
                    f"{side}_records_{number}": trained.outputs["records"],
                    f"{side}_samples_{number}": drawn.outputs["samples"],
                }
        if reference:
            of_reference = {"leg": settings[reference.name], "model": models[reference.name, first]}
            traced = task(f"trace-{reference.name}", trace, reference, dataset=images, **of_reference)
        for leg in profile.candidates:
            of_candidate = {"leg": settings[leg.name], "model": models[leg.name, first]}
            compared_inputs = dict(inputs[leg.name])
            if reference:
                replayed = task(f"replay-{leg.name}", replay, leg, trace=traced.outputs["trace"], **of_candidate)
                compared_inputs |= {**inputs[reference.name], "replay": replayed.outputs["replay"]}
            compared = task(
                f"compare-{leg.name}-with-{reference.name if reference else 'record'}",
                compare,
                None,
                candidate=leg.name,
                reference=profile.reference or "",
                recorded=profile.recorded_reference or "",
                bounds=dict(profile.bounds),
                **compared_inputs,
                **tracking,
            )
            task(
                f"publish-{leg.name}",
                publish,
                leg,
                comparison=compared.outputs["comparison"],
                tags=fingerprint(profile),
                hours=profile.mlflow_hours,
                **of_candidate,
                **{name: artifact for name, artifact in compared_inputs.items() if "_records_" in name},
                **tracking,
            )

    return parity


def component(name: str, function: Callable[..., Any], image: str) -> Any:
    """Return a component of ``function`` that runs in ``image``, which holds kfp, and is called ``name`` in the graph.

    KFP's shell command, which leaves a folder in /tmp, gives way to a program of ours that runs the same executor.
    """
    made = dsl.component(function, base_image=image, install_kfp_package=False)
    made.component_spec.name = name
    container = made.component_spec.implementation.container
    container.command = ["python3", "-m", "components.common.task", "kfp.dsl.executor_main", container.command[-1]]
    return made
