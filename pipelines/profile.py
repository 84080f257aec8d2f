"""Profiles: which legs a pipeline has, on what they run, and which of them is the reference."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from components.train.command import checked_options
from components.train.leg import LegSettings
from components.train.runtimes import is_set_up, python_of
from dualgan.errors import BadInput

FOLDER = Path(__file__).parent / "profiles"
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


def _fit_for_kubernetes(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"{name!r} must be lower-case letters, digits and single hyphens, such as cpu-tf1")
    return name


# Names of pipelines, tasks and their pods are made of it.
Name = Annotated[str, AfterValidator(_fit_for_kubernetes)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Toleration(_Strict):
    """A Kubernetes toleration."""

    key: str
    operator: Literal["Exists", "Equal"] = "Exists"
    value: str | None = None
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = None


class Resources(_Strict):
    """What a leg's pods ask a cluster for; a run on one machine takes no notice of it."""

    cpu: str | None = None
    memory: str | None = None
    accelerator: str | None = Field(default=None, description="resource name, such as huawei.com/Ascend910")
    accelerator_count: int = Field(default=1, ge=1)
    node_selector: Mapping[str, str] = {}
    tolerations: tuple[Toleration, ...] = ()


class Otherwise(_Strict):
    """What a leg is where its runtime is not set up on this machine."""

    name: Name
    runtime: Literal["tf1", "tf2"]
    environment: Mapping[str, str] = {}


class LegProfile(_Strict):
    """One accelerator's side of the comparison."""

    name: Name
    runtime: Literal["tf1", "tf2"]
    device: Literal["cpu", "gpu", "npu"]
    image: str | None = None
    environment: Mapping[str, str] = {}
    resources: Resources = Resources()
    otherwise: Otherwise | None = None

    def present(self) -> "LegProfile":
        """This leg, or what stands in for it where its runtime is not set up. BadInput where nothing does."""
        if is_set_up(self.runtime):
            return self
        if self.otherwise is None:
            python_of(self.runtime)
            return self
        environment = {**self.environment, **self.otherwise.environment}
        changes = {"name": self.otherwise.name, "runtime": self.otherwise.runtime, "environment": environment}
        return self.model_copy(update={**changes, "otherwise": None})


class Profile(_Strict):
    """The two legs of a pipeline. ``options`` are the trainer's, shared by both."""

    name: Name
    description: str
    image: str = Field(description="image of every component that is not a leg's own")
    dataset: str
    reference: str
    legs: Annotated[tuple[LegProfile, ...], Field(min_length=2, max_length=2)]
    options: Mapping[str, Any] = {}

    @model_validator(mode="after")
    def _legs_fit_together(self) -> "Profile":
        names = [leg.name for leg in self.legs]
        every_name = names + [leg.otherwise.name for leg in self.legs if leg.otherwise]
        if len(set(every_name)) < len(every_name):
            raise ValueError("two legs have the same name")
        if self.reference not in names:
            raise ValueError(f"reference {self.reference!r} is not among the legs ({', '.join(names)})")
        return self

    def on_this_machine(self) -> "Profile":
        """The profile with each leg as this machine can run it. BadInput where a runtime is missing."""
        legs = {leg.name: leg.present() for leg in self.legs}
        return self.model_copy(update={"legs": tuple(legs.values()), "reference": legs[self.reference].name})

    def settings(self, leg: LegProfile) -> LegSettings:
        """What the components are told of ``leg``."""
        role: Literal["reference", "candidate"] = "reference" if leg.name == self.reference else "candidate"
        return LegSettings(leg.name, leg.runtime, leg.device, role, dict(leg.environment), dict(self.options))


def known_profiles() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_profile(name: str) -> Profile:
    """The profile called ``name``, or the one in the YAML file of that path.

    Raises BadInput, in one line, for an unknown profile or key, a value that does not fit, or an unknown option.
    """
    path = Path(name) if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise BadInput(f"profile {name}: unknown; known are {', '.join(known_profiles())}, or give a .yaml file")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        profile = Profile.model_validate({"name": path.stem, **content} if isinstance(content, dict) else content)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: no YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "profile"
        raise BadInput(f"{path}: {place}: {_message(first['type'], first['msg'])}") from None
    try:
        checked_options(profile.options)
    except BadInput as error:
        raise BadInput(f"{path}: {error}") from None
    return profile


def _message(kind: str, message: str) -> str:
    return "unknown key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
