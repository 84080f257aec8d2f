"""References as data: what was measured once, elsewhere, and is held against later legs."""

import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from components.compare.measure import ALL
from dualgan.errors import BadInput
from dualgan.run_folder import read_json

FOLDER = Path(__file__).parent / "known_references"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Measurement(_Strict):
    """One number of a reference: what it is, in which unit, and how often it was measured.

    ``values`` are the single runs' where they are known. ``certainty`` of the definition: "measured" by this software,
    "stated" by the source, or "inferred" by us from what the source's code prints.
    """

    value: FiniteFloat = Field(gt=0)
    unit: str
    definition: str
    certainty: Literal["measured", "stated", "inferred"]
    repeats: int = Field(ge=1)
    values: tuple[FiniteFloat, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _as_many_values_as_repeats(self) -> "Measurement":
        if self.values and len(self.values) != self.repeats:
            raise ValueError(f"{len(self.values)} values for {self.repeats} repeats")
        if any(value <= 0 for value in self.values):
            raise ValueError("a value that is not above zero")
        return self

    @property
    def every_value(self) -> tuple[float, ...]:
        """The single values; where only their mean is known it counts once."""
        return self.values or (self.value,)


class RecordedDataset(_Strict):
    """``digest`` is None where the data's content is not known."""

    name: str
    digest: str | None = None


class Recorded(_Strict):
    """A recorded reference; ``options`` are those training options that are known, and must be the candidate's.

    ``date`` is None where the source does not say.
    """

    schema_version: Literal[1] = 1
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    source: str
    date: datetime.date | None
    hardware: str
    dataset: RecordedDataset
    options: dict[str, Any] = {}
    measurements: dict[str, Measurement] = Field(min_length=1)
    note: str = ""


def known_references() -> list[str]:
    """The references that come with the software."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def read_recorded(path: Path) -> Recorded:
    """Raises BadInput, naming the first thing that is wrong, where the file is missing or no recorded reference."""
    try:
        return parse_recorded(read_json(path), str(path))
    except OSError as error:
        known = ", ".join(known_references())
        raise BadInput(f"reference {path}: cannot be read ({error.strerror}); known without a file: {known}") from None
    except ValueError as error:
        raise BadInput(f"reference {path}: not a JSON object ({error})") from None


def parse_recorded(content: Any, source: str) -> Recorded:
    """``content`` as a recorded reference. Raises BadInput, naming ``source`` and the first wrong thing."""
    try:
        return Recorded.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "reference"
        raise BadInput(f"{source}: no recorded reference: {place}: {first['msg']}") from None


def resolve_recorded(text: str) -> Recorded:
    """The reference that ``text`` names: published or another known name, mlflow:RUN, or a file.

    Raises BadInput or DualGANError where there is none.
    """
    if text.startswith("mlflow:"):
        from components.compare.mlflow_reference import reference_of_mlflow_run

        return reference_of_mlflow_run(text.removeprefix("mlflow:"))
    if text in known_references():
        return read_recorded(FOLDER / f"{text}.json")
    return read_recorded(Path(text))


def unlike(name: str, measurement: Measurement) -> str | None:
    """Why a recorded number is not the measure ``name`` of this software, None where it is."""
    expected = ALL.get(name)
    if expected is None:
        return f"{name} is no measure of this software"
    if measurement.unit != expected.unit:
        return f"{name} is in {measurement.unit!r}, not in {expected.unit!r}"
    if measurement.definition != expected.definition:
        return f"{name} is of another definition ({measurement.definition!r}, not {expected.definition!r})"
    return None
