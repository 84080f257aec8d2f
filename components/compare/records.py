"""What options.json and summary.json of a run folder say, checked when they are read."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from dualgan.errors import BadInput
from dualgan.run_folder import read_json


def _none_unless_finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measured = Annotated[float | None, BeforeValidator(_none_unless_finite)]


class Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="allow")


AnyRecord = TypeVar("AnyRecord", bound=Record)


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

    A_loss: Measured = None
    B_loss: Measured = None
    window: int | None = None


class Summary(Record):
    """The result of a run; None is what could not be measured, and so is a number that is not finite."""

    status: Literal["finished", "failed", "interrupted"]
    reason: str | None = None
    steps: int | None = None
    epochs: Measured = None
    min_loss: Measured = None
    final_loss: FinalLoss | None = None
    sec_per_step: Measured = None
    sec_per_step_p95: Measured = None
    images_per_sec: Measured = None
    time: dict[str, Measured] | None = None
    peak_memory_bytes: int | None = None


def read_options(path: Path) -> Options:
    """Raises BadInput, naming the file and the first wrong thing, where it does not fit the contract."""
    return _read(path, Options)


def read_summary(path: Path) -> Summary | None:
    """The summary, None where there is no such file. Raises BadInput where it does not fit the contract."""
    return _read(path, Summary) if path.is_file() else None


def _read(path: Path, record: type[AnyRecord]) -> AnyRecord:
    try:
        return record.model_validate(read_json(path))
    except FileNotFoundError:
        raise BadInput(f"{path}: no such file; is {path.parent} the folder of a training run?") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise BadInput(f"{path}: {place}: {first['msg']}; train the leg anew") from None
    except ValueError as error:
        raise BadInput(f"{path}: truncated or damaged, not a JSON object ({error}); train the leg anew") from None
