"""JSON from outside, checked as it is read: options.json and summary.json of a run folder, and any other record."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from dualgan.errors import BadInput
from dualgan.run_folder import read_json


def _none_unless_finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


FiniteOrNone = Annotated[float | None, BeforeValidator(_none_unless_finite)]


class Record(BaseModel):
    """A JSON object of which at least the named entries are known."""

    model_config = ConfigDict(frozen=True, extra="allow")


Model = TypeVar("Model", bound=BaseModel)


class Device(Record):
    kind: Literal["cpu", "gpu", "npu"]
    name: str


class Environment(Record):
    device: Device
    tensorflow: str
    python: str | None = None
    git_commit: str | None = None
    variables: dict[str, str] = {}


class DatasetRecord(Record):
    name: str
    source: str
    counts: dict[str, int]
    digest: str


class Options(Record):
    options: dict[str, Any]
    environment: Environment
    dataset: DatasetRecord


class FinalLoss(Record):
    """Means over the last ``window`` training steps."""

    A_loss: FiniteOrNone = None
    B_loss: FiniteOrNone = None
    window: int | None = None


class Summary(Record):
    """The result of a run; None is what could not be measured, and what is no finite number."""

    status: Literal["finished", "failed", "interrupted"]
    reason: str | None = None
    steps: int | None = None
    epochs: FiniteOrNone = None
    min_loss: FiniteOrNone = None
    final_loss: FinalLoss | None = None
    sec_per_step: FiniteOrNone = None
    sec_per_step_p95: FiniteOrNone = None
    images_per_sec: FiniteOrNone = None
    time: dict[str, FiniteOrNone] | None = None
    peak_memory_bytes: int | None = None


def read_options(path: Path) -> Options:
    """Read options.json. Raises BadInput, naming the first wrong thing, if it does not fit the contract."""
    return _read(path, Options)


def read_summary(path: Path) -> Summary | None:
    """Read summary.json, None if there is no such file. Raises BadInput if it does not fit the contract."""
    return _read(path, Summary) if path.is_file() else None


def read_record(path: Path, model: type[Model], label: str, remedy: str = "") -> Model:
    """Read a JSON file from outside.

    Args:
        path: The file.
        model: What it has to hold.
        label: What messages call it.
        remedy: What to do if it does not, for the end of messages.

    Raises:
        BadInput: It does not hold it; the message is one line that names the first wrong thing.
        OSError: It cannot be read.
    """
    try:
        content = read_json(path)
    except ValueError as error:
        raise BadInput(f"{label}: truncated or damaged, not a JSON object ({error}){remedy}") from None
    return validate(content, model, label, remedy)


def validate(content: object, model: type[Model], label: str, remedy: str = "") -> Model:
    """Take ``content`` as ``model``. Raises BadInput, in one line that begins with ``label``, if it is none."""
    try:
        return model.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = "".join(f"{part}." for part in first["loc"]).rstrip(".")
        raise BadInput(f"{label}: {place + ': ' if place else ''}{first['msg']}{remedy}") from None


def _read(path: Path, model: type[Model]) -> Model:
    try:
        return read_record(path, model, str(path), "; train the leg anew")
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; is {path.parent} the folder of a training run?") from None
