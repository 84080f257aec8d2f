"""A compiled package: what KFP's API takes of it, and its parameters with their types."""

import json
import tempfile
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from components.common.address import Address
from components.common.yaml_files import MAX_BYTES, parse_yaml_documents
from dualgan.errors import BadInput
from dualgan.json_files import read_bounded
from pipelines.profile import Profile

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
        definitions = self.specification["root"].get("inputDefinitions", {}).get("parameters", {})
        return {name: definition["parameterType"] for name, definition in definitions.items()}

    @property
    def defaults(self) -> Mapping[str, Any]:
        """The value of each parameter that has one, by its name."""
        definitions = self.specification["root"].get("inputDefinitions", {}).get("parameters", {})
        return {name: value["defaultValue"] for name, value in definitions.items() if "defaultValue" in value}

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


def package_of(profile: Profile) -> Package:
    """Return the package that ``compile_package`` writes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from google.protobuf import json_format

        from pipelines.parity import build

        built = build(profile, on_cluster=True)
        return Package(json_format.MessageToDict(built.pipeline_spec), json_format.MessageToDict(built.platform_spec))


def compile_package(profile: Profile, output: Path) -> None:
    """Write the package of ``profile``'s pipeline, KFP's intermediate representation, whole or not at all."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from kfp import compiler

        from pipelines.parity import build

        output.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=output.parent) as folder:
            made = Path(folder) / "pipeline.yaml"
            compiler.Compiler().compile(build(profile, on_cluster=True), str(made))
            made.replace(output)


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
