"""Profiles: which legs a pipeline has, on what they run, and which of them is the reference."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.common.s3 import parse_address
from components.common.yaml_files import read_yaml
from components.compare.bounds import MAX_SEEDS, bounds_from
from components.train.leg import LegSettings, checked_options
from components.train.runtimes import is_set_up, python_of
from dualgan.errors import BadInput
from dualgan.options import parsed_options
from pipelines import kubernetes_rules as rules
from pipelines.profiles import FOLDER, known_profiles

# What a value that is wrong may be long.
MAX_MESSAGE = 300
MAX_SEED = 2**32 - 1
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]

# What the names of tasks begin with.
TaskKind = Literal["preflight", "dataset", "train", "sample", "trace", "replay", "compare", "publish"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Strict):
    """A Kubernetes toleration."""

    key: rules.LabelKey
    operator: Literal["Exists", "Equal"] = "Exists"
    value: rules.LabelValue | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None

    @model_validator(mode="after")
    def _value_fits_operator(self) -> "Toleration":
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError(f"toleration {self.key}: Equal needs a value, and Exists has none")
        return self


class NodeRequirement(_Strict):
    """What a node's labels must say; with a ``weight`` (1 to 100) only where there is such a node."""

    key: rules.LabelKey
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"] = "In"
    values: tuple[rules.LabelValue, ...] = ()
    weight: int | None = Field(default=None, ge=1, le=100)

    @model_validator(mode="after")
    def _values_fit_operator(self) -> "NodeRequirement":
        if self.operator in ("Exists", "DoesNotExist"):
            needed, fit = "no values", not self.values
        elif self.operator in ("Gt", "Lt"):
            needed, fit = "one whole number", len(self.values) == 1 and self.values[0].isdecimal()
        else:
            needed, fit = "values", bool(self.values)
        if not fit:
            raise ValueError(f"node_affinity {self.key}: {self.operator} needs {needed}")
        return self


class User(_Strict):
    """Whom a pod's processes run as; devices of a node belong to such a user."""

    # Where a namespace's Pod Security is restricted, nothing runs as root.
    uid: int = Field(ge=1, le=2**31 - 1)
    gid: int = Field(ge=0, le=2**31 - 1)


# Whom the images are built for.
IMAGE_USER = User(uid=1000, gid=1000)
# Of a training, and of any other task; publishing has as long besides waiting for MLflow.
TRAINING_SECONDS, STEP_SECONDS = 48 * 3600, 4 * 3600


class Variables(_Strict):
    """A Secret or ConfigMap that exists in the cluster, and which of its keys become which environment variables.

    tasks: the kinds of tasks that get them; by default those that speak with the server that a variable's name tells.
    """

    name: rules.ObjectName
    variables: Annotated[Mapping[rules.DataKey, rules.Variable], Field(min_length=1)]
    optional: bool = False
    tasks: tuple[TaskKind, ...] | None = None


class Resources(_Strict):
    """What a task's pod asks a cluster for; a run on one machine takes no notice of it.

    architecture: what the image is built for, "any" if for both; a leg on a CPU has the one of the profile's image,
    and on an accelerator its pool decides. labels, annotations: beside the profile's own, and before them.
    """

    cpu: rules.Cpu = "2"
    memory: rules.Memory = "8Gi"
    shared_memory: rules.Memory | None = Field(default=None, description="size of /dev/shm, which counts as memory")
    accelerator: rules.DeviceResource | None = Field(
        default=None, description="resource name, such as huawei.com/Ascend910"
    )
    accelerator_count: int = Field(default=1, ge=1)
    architecture: Literal["amd64", "arm64", "any"] | None = None
    node_selector: Mapping[rules.LabelKey, rules.LabelValue] = {}
    node_affinity: tuple[NodeRequirement, ...] = ()
    tolerations: tuple[Toleration, ...] = ()
    labels: rules.PodLabels = {}
    annotations: rules.PodAnnotations = {}
    user: User = IMAGE_USER
    time_limit: int = Field(default=TRAINING_SECONDS, ge=1, description="seconds that a try of a task may take")

    @model_validator(mode="after")
    def _accelerator_has_a_pool(self) -> "Resources":
        required = [one for one in self.node_affinity if one.weight is None]
        if self.accelerator and not (self.node_selector or required or self.tolerations):
            raise ValueError(
                f"accelerator {self.accelerator} without a pool: give node_selector, node_affinity or tolerations of "
                "its nodes"
            )
        return self


class StepResources(Resources):
    """What the tasks in the profile's own image ask for; it is built for one architecture, that of most clusters."""

    architecture: Literal["amd64", "arm64", "any"] | None = "amd64"
    time_limit: int = Field(default=STEP_SECONDS, ge=1, description="seconds that a try of a task may take")


class Fallback(_Strict):
    """What a leg becomes if its runtime is not set up on this machine."""

    name: rules.Name
    runtime: Literal["tf1", "tf2"]
    environment: Mapping[str, str] = {}


class LegProfile(_Strict):
    """One accelerator's side of the comparison."""

    name: rules.Name
    runtime: Literal["tf1", "tf2"]
    device: Literal["cpu", "gpu", "npu"]
    image: rules.Image | None = None
    environment: Mapping[str, str] = {}
    resources: Resources = Resources()
    fallback: Fallback | None = None

    def present(self) -> "LegProfile":
        """Return this leg, or its fallback if its runtime is not set up. Raises BadInput if it has none."""
        if is_set_up(self.runtime):
            return self
        if self.fallback is None:
            python_of(self.runtime)
            return self
        environment = {**self.environment, **self.fallback.environment}
        changes = {"name": self.fallback.name, "runtime": self.fallback.runtime, "environment": environment}
        return self.model_copy(update={**changes, "fallback": None})


class Profile(_Strict):
    """The legs of a pipeline. ``options`` are the trainer's, shared by all; each leg trains once a seed.

    Two legs, one of them the ``reference``; or one or two, held against a ``recorded_reference`` (published, a JSON
    file of ``parity compare record``, or mlflow:RUN). ``bounds`` take the place of defaults.
    """

    name: rules.Name
    description: str
    image: rules.Image = Field(description="image of every component that is not a leg's own")
    resources: StepResources = Field(default=StepResources(), description="of the tasks in that image")
    dataset: str = ""
    reference: str | None = None
    recorded_reference: str | None = None
    legs: Annotated[tuple[LegProfile, ...], Field(min_length=1, max_length=2)]
    seeds: Annotated[tuple[Seed, ...], Field(min_length=1, max_length=MAX_SEEDS)] = (0,)
    bounds: Mapping[str, float] = {}
    options: Mapping[str, Any] = {}
    secrets: tuple[Variables, ...] = ()
    config_maps: tuple[Variables, ...] = ()
    image_pull_secrets: tuple[rules.ObjectName, ...] = ()
    labels: rules.PodLabels = Field(default={}, description="of every task's pod, such as a Kueue queue's")
    annotations: rules.PodAnnotations = Field(default={}, description="of every task's pod")
    retries: int = Field(default=0, ge=0, le=10, description="further tries of a task, and of the trainer within it")
    checkpoints: str = Field(default="", description="s3://bucket/prefix of checkpoints, for the next try")
    mlflow_hours: float = Field(default=12.0, ge=0, le=240, description="how long the last task waits for MLflow")

    @model_validator(mode="after")
    def _legs_fit_together(self) -> "Profile":
        names = [leg.name for leg in self.legs]
        every_name = names + [leg.fallback.name for leg in self.legs if leg.fallback]
        if len(set(every_name)) < len(every_name):
            raise ValueError("two legs have the same name")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError("a seed is there twice")
        if self.checkpoints:
            parse_address(self.checkpoints)
        if (self.reference is None) == (self.recorded_reference is None):
            raise ValueError("give either a leg as reference or a recorded_reference")
        if self.reference is None:
            return self
        if self.reference not in names:
            raise ValueError(f"reference {self.reference!r} is not among the legs ({', '.join(names)})")
        if len(names) < 2:
            raise ValueError("a reference needs a second leg to judge; for one leg give a recorded_reference")
        return self

    def on_this_machine(self) -> "Profile":
        """Return the profile with each leg as this machine can run it. Raises BadInput if a runtime is missing."""
        legs = {leg.name: leg.present() for leg in self.legs}
        reference = legs[self.reference].name if self.reference else None
        return self.model_copy(update={"legs": tuple(legs.values()), "reference": reference})

    def with_seeds(self, first: int | None, count: int | None) -> "Profile":
        """The profile with ``count`` seeds from ``first`` on; None: as it is. BadInput for too many."""
        if first is None and count is None:
            return self
        start = self.seeds[0] if first is None else first
        number = len(self.seeds) if count is None else count
        if not 1 <= number <= MAX_SEEDS:
            raise BadInput(f"--seeds {number}: must be from 1 to {MAX_SEEDS}")
        last = MAX_SEED - number + 1
        if not 0 <= start <= last:
            of_several = f" for {number} seeds in a row" if number > 1 else ""
            raise BadInput(f"--seed {start}: must be from 0 to {last}{of_several}")
        return self.model_copy(update={"seeds": tuple(range(start, start + number))})

    def source(self, given: str | None = None) -> str:
        """The dataset's source, ``given`` in place of the profile's own. BadInput if neither names one."""
        source = given or self.dataset
        if not source:
            raise BadInput(
                f"profile {self.name} names no dataset: give --dataset with a source of yours, such as "
                "s3://bucket/prefix, or write it as `dataset` into a copy of the profile"
            )
        return source

    @property
    def candidates(self) -> tuple[LegProfile, ...]:
        return tuple(leg for leg in self.legs if leg.name != self.reference)

    def settings(self, leg: LegProfile) -> LegSettings:
        """What the components are told of ``leg``."""
        role: Literal["reference", "candidate"] = "reference" if leg.name == self.reference else "candidate"
        return LegSettings(leg.name, leg.runtime, leg.device, role, dict(leg.environment), dict(self.options))


def load_profile(name: str) -> Profile:
    """The profile called ``name``, or the one in the YAML file of that path.

    Raises BadInput, in one line, for an unknown profile or key, a value that does not fit, or an unknown option.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise BadInput(f"profile {name}: unknown; known are {', '.join(known_profiles())}, or give a .yaml file")
    content = read_yaml(path)
    try:
        profile = Profile.model_validate({"name": path.stem, **content} if isinstance(content, dict) else content)
        checked_options(profile.options)
        bounds_from(profile.bounds)
        return profile.model_copy(update={"options": parsed_options(profile.options)})
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(ascii(part)[:60].strip("'") for part in first["loc"]) or "profile"
        said = "unknown key" if first["type"] == "extra_forbidden" else first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{path}: {place}: {' '.join(said.split())[:MAX_MESSAGE]}") from None
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
