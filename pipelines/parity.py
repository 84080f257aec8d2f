"""The parity pipeline: dataset -> train, sample (each leg) -> compare, publish (each candidate)."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from kfp import dsl, kubernetes

from components.compare.component import compare
from components.dataset import component as dataset_component
from components.publish.component import publish
from components.sample.component import sample
from components.train.component import train
from pipelines.profile import LegProfile, Profile, Resources

PIPELINE_NAME = "dualgan-parity"


def build(profile: Profile) -> Any:
    """The KFP pipeline of ``profile``. Legs are unrolled, so that its graph shows each by name."""
    legs = {leg.name: leg for leg in profile.legs}
    source = profile.dataset

    @dsl.pipeline(name=f"{PIPELINE_NAME}-{profile.name}", description=profile.description)  # type: ignore[untyped-decorator]
    def parity(
        dataset: str = source,
        seed: int = 0,
        options: dict = {},  # type: ignore[type-arg]  # noqa: B006 - KFP takes the default as a constant
        tracking_uri: str = "",
        experiment: str = "",
        dataset_sha256: str = "",
        quarantine: bool = False,
    ) -> None:
        run_id = dsl.PIPELINE_JOB_ID_PLACEHOLDER
        tracking = {"pipeline_run_id": run_id, "tracking_uri": tracking_uri, "experiment": experiment}
        fetched = _task("dataset", dataset_component.dataset, profile.image)(
            source=dataset, sha256=dataset_sha256, quarantine=quarantine
        )
        trained, drawn = {}, {}
        for name, leg in legs.items():
            settings, image = asdict(profile.settings(leg)), leg.image or profile.image
            trained[name] = _task(f"train-{name}", train, image)(
                leg=settings, dataset=fetched.outputs["dataset"], overrides=options, seed=seed, **tracking
            )
            drawn[name] = _task(f"sample-{name}", sample, image)(
                leg=settings, dataset=fetched.outputs["dataset"], run=trained[name].outputs["run"]
            )
            for task in (trained[name], drawn[name]):
                _place(task, leg)
        reference = profile.reference
        for name, leg in legs.items():
            if name == reference:
                continue
            compared = _task(f"compare-{name}-with-{reference}", compare, profile.image)(
                reference=reference,
                candidate=name,
                reference_run=trained[reference].outputs["run"],
                reference_samples=drawn[reference].outputs["samples"],
                candidate_run=trained[name].outputs["run"],
                candidate_samples=drawn[name].outputs["samples"],
                **tracking,
            )
            published = _task(f"publish-{name}", publish, leg.image or profile.image)(
                leg=asdict(profile.settings(leg)),
                run=trained[name].outputs["run"],
                comparison=compared.outputs["comparison"],
                **tracking,
            )
            _place_beside_accelerators(published, leg)

    return parity


def _task(name: str, function: Callable[..., Any], image: str) -> Any:
    """A component of ``function`` that runs in ``image``, which holds kfp, and is called ``name`` in the graph."""
    component = dsl.component(function, base_image=image, install_kfp_package=False)
    component.component_spec.name = name
    return component


def _place(task: Any, leg: LegProfile) -> None:
    """Ask a cluster for what ``leg`` needs."""
    resources: Resources = leg.resources
    if resources.cpu:
        task.set_cpu_limit(resources.cpu)
    if resources.memory:
        task.set_memory_limit(resources.memory)
    if resources.accelerator:
        task.set_accelerator_type(resources.accelerator)
        task.set_accelerator_limit(resources.accelerator_count)
    _place_beside_accelerators(task, leg)


def _place_beside_accelerators(task: Any, leg: LegProfile) -> None:
    """Ask for the kind of node that ``leg``'s image is made for, and for none of its accelerators."""
    resources: Resources = leg.resources
    for key, value in resources.node_selector.items():
        kubernetes.add_node_selector(task, key, value)
    for toleration in resources.tolerations:
        kubernetes.add_toleration(task, **toleration.model_dump(exclude_none=True))
