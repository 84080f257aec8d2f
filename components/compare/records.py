"""Files and answers from outside as models: options.json and summary.json of a run folder, and any other record.

dualgan.json_files bounds the size, depth and whole numbers of what is read; the models give it types.
"""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
    field_validator,
)

from dualgan.errors import BadInput
from dualgan.json_files import DamagedFile, read_json, whole_number

MAX_BYTES = 16 << 20
OF_A_RUN = "; is this the folder of a training run? train the leg anew"


def none_unless_finite(value: Any) -> Any:
    """Return ``value``, or None for a NaN or an infinity, which JSON does not know."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


FiniteOrNone = Annotated[float | None, BeforeValidator(none_unless_finite)]
Count = Annotated[int, Field(ge=0)]
# What people read; longer texts would hide the rest of a report.
Text = Annotated[str, StringConstraints(max_length=10_000)]
Model = TypeVar("Model")


class Record(BaseModel):
    """A JSON object of which at least the named entries are known."""

    model_config = ConfigDict(frozen=True)


class Device(Record, extra="allow"):
    """A device; ``products`` is what it rounds the factors of products to, float32 if it does not say."""

    kind: Literal["cpu", "gpu", "npu"]
    name: Text
    products: Text | None = None


class Environment(Record, extra="allow"):
    """What ran a training; whatever else was recorded is shown in the report."""

    device: Device
    tensorflow: Text
    python: Text | None = None
    git_commit: Text | None = None
    variables: dict[str, Text] = {}


class DatasetRecord(Record):
    name: Text
    source: Text
    counts: dict[str, Count]
    digest: Text


class Options(Record):
    options: dict[str, Any]
    environment: Environment
    dataset: DatasetRecord

    @field_validator("options")
    @classmethod
    def _has_a_seed_or_none(cls, options: dict[str, Any]) -> dict[str, Any]:
        whole_number(options.get("seed") or 0, "seed")
        return options

    @property
    def seed(self) -> int:
        return self.options.get("seed") or 0


class FinalLoss(Record):
    """Means over the last ``window`` training steps."""

    A_loss: FiniteOrNone = None
    B_loss: FiniteOrNone = None
    window: Count | None = None


class Summary(Record):
    """The result of a run; None is what could not be measured, and what is no finite number."""

    status: Literal["finished", "failed", "interrupted"]
    reason: Text | None = None
    steps: Count | None = None
    epochs: FiniteOrNone = None
    min_loss: FiniteOrNone = None
    final_loss: FinalLoss | None = None
    sec_per_step: FiniteOrNone = None
    sec_per_step_p95: FiniteOrNone = None
    images_per_sec: FiniteOrNone = None
    time: dict[str, FiniteOrNone] | None = None
    machine: dict[str, FiniteOrNone] | None = None
    peak_memory_bytes: Count | None = None


def read_options(path: Path) -> Options:
    """Read options.json. Raises BadInput, naming the first wrong thing, if it does not fit the contract."""
    return read_record(path, Options, str(path), OF_A_RUN)


def read_summary(path: Path) -> Summary | None:
    """Read summary.json, None if there is no such file. Raises BadInput if it does not fit the contract."""
    return read_record(path, Summary, str(path), OF_A_RUN) if path.exists() else None


def read_record(path: Path, model: type[Model], label: str, remedy: str) -> Model:
    """Read a JSON file from outside as ``model``. Raises BadInput as read_object and validate do."""
    return validate(read_object(path, label, remedy), model, label, remedy)


def read_object(path: Path, label: str, remedy: str) -> dict[str, Any]:
    """Read a JSON object. Raises BadInput in one line: ``label``, what is wrong, and ``remedy``, what to do."""
    try:
        return read_json(path, MAX_BYTES)
    except OSError as error:
        raise BadInput(f"{label}: cannot be read ({error.strerror}){remedy}") from None
    except DamagedFile as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise BadInput(f"{label}: truncated or damaged, not a JSON object ({reason}){remedy}") from None


def validate(content: object, model: type[Model], label: str, remedy: str = "") -> Model:
    """Take ``content`` as ``model``. Raises BadInput, one line that names the first wrong thing, if it is none."""
    try:
        return TypeAdapter(model).validate_python(content)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(part)[:100] for part in first["loc"])
        fault = f"{place}: {first['msg']}".removeprefix(": ")
        raise BadInput(f"{label}: {fault}{remedy}") from None
