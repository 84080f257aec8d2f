"""A compiled package: what KFP's API takes of it, its parameters with their types, and whether it is sound."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from components.common.address import Address
from components.common.files import write_file
from components.common.revision import PACKAGE_VARIABLE, UNKNOWN
from components.common.yaml_files import MAX_BYTES, parse_yaml_documents
from components.dataset.sources import parse_source
from dualgan.errors import BadInput
from dualgan.json_files import read_bounded
from pipelines.images import OWN_IMAGE
from pipelines.kubernetes_rules import is_pinned
from pipelines.profile import Profile, load_profile

# What KFP replaces by the run's id.
RUN_ID = "{{$.pipeline_job_uuid}}"
IMAGES = Path(__file__).resolve().parents[1] / "images"
KINDS: Mapping[str, tuple[type, ...]] = {
    "STRING": (str,),
    "BOOLEAN": (bool,),
    "NUMBER_INTEGER": (int,),
    "NUMBER_DOUBLE": (int, float),
    "STRUCT": (dict,),
    "LIST": (list,),
}


@dataclass(frozen=True)
class Package:
    """``specification`` is KFP's intermediate representation, ``platform`` what it says for Kubernetes alone."""

    specification: Mapping[str, Any]
    platform: Mapping[str, Any]

    @property
    def name(self) -> str:
        return str(self.specification["pipelineInfo"]["name"])

    @property
    def kinds(self) -> Mapping[str, str]:
        """The type of each parameter, by its name."""
        return {name: definition["parameterType"] for name, definition in self._parameters.items()}

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The value of each parameter that has one, by its name."""
        return {name: value["defaultValue"] for name, value in self._parameters.items() if "defaultValue" in value}

    @property
    def tasks(self) -> Mapping[str, Any]:
        """What the package says of each task, by its name."""
        tasks: Mapping[str, Any] = self.specification["root"].get("dag", {}).get("tasks", {})
        return {str(task.get("taskInfo", {}).get("name", name)): task for name, task in tasks.items()}

    @property
    def version(self) -> str:
        """The revision that it was compiled from, and a checksum of all that it says: what KFP calls it."""
        executors = self.specification.get("deploymentSpec", {}).get("executors", {}).values()
        variables = [variable for one in executors for variable in one.get("container", {}).get("env", ())]
        revision = next((one["value"] for one in variables if one["name"] == PACKAGE_VARIABLE), UNKNOWN)
        content = json.dumps([self.specification, self.platform], sort_keys=True)
        return f"{revision}-{hashlib.sha256(content.encode()).hexdigest()[:8]}"

    @property
    def _parameters(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.specification["root"].get("inputDefinitions", {}).get("parameters", {})
        return found

    def added_to(self, run_id: str) -> "Package":
        """The package of a run that goes on as ``run_id``, an earlier one: in MLflow, and for KFP's cache.

        Trainings whose inputs are those of the earlier run's are then not done again.
        """
        text = json.dumps(self.specification).replace(RUN_ID, run_id)
        return Package(json.loads(text), self.platform)

    def to_yaml(self) -> str:
        """The content of a package's file."""
        documents = [dict(one) for one in (self.specification, self.platform) if one]
        return yaml.safe_dump_all(documents, sort_keys=True)

    def to_api(self) -> dict[str, Any]:
        """The ``pipeline_spec`` of a run or recurring run."""
        if not self.platform:
            return dict(self.specification)
        return {"pipeline_spec": dict(self.specification), "platform_spec": dict(self.platform)}

    def checked(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """``parameters`` as they are. Raises BadInput for an unknown name, a value of another type, or a login."""
        for name, value in parameters.items():
            kind = self.kinds.get(name)
            if kind is None:
                raise BadInput(f"parameter {name!r}: unknown; the pipeline has {', '.join(sorted(self.kinds))}")
            fits = isinstance(value, KINDS[kind]) and (kind == "BOOLEAN" or not isinstance(value, bool))
            if not fits:
                raise BadInput(f"parameter {name}: {value!r} is not of type {kind}")
            address = Address(value) if isinstance(value, str) else Address("")
            if address.has_secret:
                raise BadInput(f"parameter {name}: {address}: without its login, which KFP would show; use the secrets")
        return dict(parameters)

    def parsed(self, assignments: Iterable[str]) -> dict[str, Any]:
        """``NAME=VALUE`` as parameters of the pipeline's types: a string as it is, all else as JSON."""
        found: dict[str, Any] = {}
        for text in assignments:
            name, equals, value = text.partition("=")
            if not equals:
                raise BadInput(f"--parameter {text}: must be NAME=VALUE")
            if self.kinds.get(name, "STRING") == "STRING":
                found[name] = value
                continue
            try:
                found[name] = json.loads(value)
            except ValueError:
                raise BadInput(f"parameter {name}: {value!r} is not of type {self.kinds[name]}") from None
        return self.checked(found)


def _built(profile: Profile) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pipelines.parity import build

        return build(profile, on_cluster=True)


def package_of(profile: Profile) -> Package:
    """Return the package that ``compile_package`` writes."""
    from google.protobuf.json_format import MessageToDict

    built = _built(profile)
    return Package(MessageToDict(built.pipeline_spec), MessageToDict(built.platform_spec))


def compile_package(profile: Profile, output: Path) -> None:
    """Write the package of ``profile``'s pipeline, KFP's intermediate representation, whole or not at all."""
    from kfp.compiler import Compiler

    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "pipeline.yaml"
        Compiler().compile(_built(profile), str(made))
        output.parent.mkdir(parents=True, exist_ok=True)
        write_file(output, made.read_text())


def check(name: str, dataset: str | None = None) -> int:
    """Look for mistakes in a profile, with its own dataset or ``dataset``; return how many tasks it has.

    Raises BadInput for the first one that can be seen without a cluster: in its file, in names of images, or by KFP's
    own definition of a package.
    """
    from google.protobuf.json_format import ParseDict, ParseError
    from kfp.kubernetes.kubernetes_executor_config_pb2 import KubernetesExecutorConfig
    from kfp.pipeline_spec.pipeline_spec_pb2 import PipelineSpec, PlatformSpec

    profile = load_profile(name)
    source = profile.source(dataset)
    parse_source(source)
    known = sorted(path.name for path in IMAGES.iterdir() if path.is_dir()) if IMAGES.is_dir() else []
    for image in [profile.image, *(leg.image for leg in profile.legs if leg.image)]:
        if not is_pinned(image):
            raise BadInput(f"image {image} has neither tag nor digest: which one runs would change unseen")
        own = OWN_IMAGE.fullmatch(image)
        if own and known and own[1] not in known:
            raise BadInput(f"image {image}: this repository makes no such image; it makes {', '.join(known)}")
    package = package_of(profile)
    platforms = package.platform.get("platforms", {})
    executors = platforms.get("kubernetes", {}).get("deploymentSpec", {}).get("executors", {})
    try:
        ParseDict(dict(package.specification), PipelineSpec())
        ParseDict(dict(package.platform), PlatformSpec())
        for executor in executors.values():
            ParseDict(executor, KubernetesExecutorConfig())
    except ParseError as error:
        raise BadInput(f"the compiled package is not valid: {error}") from None
    package.checked({"dataset": source, "options": dict(profile.options)})
    return len(package.tasks)


def read_package(file: Path) -> Package:
    """Return a package from its file. Raises BadInput if it is none."""
    try:
        specification, *further = parse_yaml_documents(read_bounded(file, MAX_BYTES), str(file))
        if not isinstance(specification["pipelineInfo"]["name"], str) or "root" not in specification:
            raise KeyError("root")
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}") from None
    except (BadInput, ValueError, KeyError, TypeError):
        raise BadInput(f"{file}: no pipeline package; `parity compile` makes one") from None
    return Package(specification, further[0] if further else {})
