"""References as data: what was measured once and is held against later legs, from a file, from MLflow or from runs."""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from components.compare.leg import ABSENT, OWN_OPTIONS, RUN_OPTIONS, Leg, LegRuns, Source, differing_options, read_leg
from components.compare.measure import ALL, Measured, measure
from components.compare.records import read_record, validate
from components.compare.statistics import geometric_mean
from components.compare.verdict import join
from dualgan.errors import BadInput, DualGANError
from dualgan.json_files import DamagedFile, parse_json
from dualgan.run_folder import MAX_TIME

# References that come with the software.
FOLDER = Path(__file__).parent / "known_references"
# Options that neither change what is computed nor how long it takes.
UNRECORDED = OWN_OPTIONS | RUN_OPTIONS | {"dataset_name", "log_freq", "keep_checkpoints", "on_nan"}
SUMMARY = "summary/"
MLFLOW = "mlflow:"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=10_000)


class Measurement(_Strict):
    """One number of a reference.

    Attributes:
        value: The number, or the geometric mean of ``values``.
        unit: As Measure has it.
        definition: What the number is, as Measure has it.
        certainty: Whether the definition is "measured" by this software, "stated" by the source, or "inferred" by us
            from what the source's code prints.
        repeats: In how many runs it was measured.
        values: Those of the single runs if they are known.
        note: For people.
    """

    value: FiniteFloat = Field(gt=0)
    unit: str
    definition: str
    certainty: Literal["measured", "stated", "inferred"]
    repeats: int = Field(ge=1)
    values: tuple[FiniteFloat, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _has_a_value_for_each_repeat(self) -> Self:
        if self.values and len(self.values) != self.repeats:
            raise ValueError(f"{len(self.values)} values for {self.repeats} repeats")
        if any(value <= 0 for value in self.values):
            raise ValueError("a value that is not above zero")
        return self


class RecordedDataset(_Strict):
    """The data of a reference; ``digest`` is None if the data's content is not known."""

    name: str
    digest: str | None = None


class Recorded(_Strict):
    """A recorded reference.

    Attributes:
        source: Where it is from, for people.
        date: Of the runs; None if the source does not say.
        options: Those training options that are known; a candidate has to have the same.
        measurements: By the names of measure.ALL.
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

    def measured(self) -> Measured:
        """Return what a candidate can be judged by; where only the mean of several runs is known it counts once."""
        mismatches = {name: _mismatch(name, found) for name, found in self.measurements.items()}
        usable = {name: found for name, found in self.measurements.items() if not mismatches[name]}
        return Measured(
            self.name,
            {name: found.values or (found.value,) for name, found in usable.items()},
            is_well_known=self.dataset.digest is not None,
            mismatches={name: reason for name, reason in mismatches.items() if reason},
            inferred=[name for name, found in usable.items() if found.certainty == "inferred"],
        )

    def job_mismatch(self, candidate: LegRuns) -> str | None:
        """Say why the candidate did another job than the reference, None if it did the same as far as that is known."""
        dataset, digest = candidate.first.options.dataset, self.dataset.digest
        if digest is not None and not dataset.digest.startswith(digest):
            return f"it is of other data ({self.dataset.name} {digest[:12]}, not {dataset.name} {dataset.digest[:12]})"
        if digest is None and self.dataset.name != dataset.name:
            return f"it is of other data ({self.dataset.name}, not {dataset.name})"
        known, own = self.options, candidate.first.options.options
        differing = [
            f"{name} {json.dumps(value)}, not {json.dumps(own[name]) if name in own else ABSENT}"
            for name, value in known.items()
            if name not in own or own[name] != value
        ]
        return f"it is of other options: {join(differing)}" if differing else None


def _mismatch(name: str, measurement: Measurement) -> str | None:
    """Say why a recorded number is not the measure ``name`` of this software, None if it is."""
    expected = ALL.get(name)
    if expected is None:
        return f"{name} is no measure of this software"
    if measurement.unit != expected.unit:
        return f"{name} is in {measurement.unit!r}, not in {expected.unit!r}"
    if measurement.definition != expected.definition:
        return f"{name} is of another definition ({measurement.definition!r}, not {expected.definition!r})"
    return None


def known_references() -> list[str]:
    """Return the names of the references that come with the software."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def load_reference(text: str) -> Recorded:
    """Load a recorded reference.

    Args:
        text: published or another known name, mlflow:RUN, or a file.

    Raises:
        BadInput: There is none, or it is none; the message names the first thing that is wrong.
        DualGANError: MLflow's server does not answer.
    """
    if text.startswith(MLFLOW):
        return _from_mlflow(text.removeprefix(MLFLOW))
    if "://" in text:
        raise BadInput(f"reference {text}: neither a file nor {MLFLOW}RUN; download it first")
    path = FOLDER / f"{text}.json" if text in known_references() else Path(text)
    try:
        return read_record(path, Recorded, f"reference {path}")
    except OSError as error:
        known = ", ".join(known_references())
        raise BadInput(f"reference {path}: cannot be read ({error.strerror}); known without a file: {known}") from None


def record(name: str, sources: Sequence[Source], source: str) -> Recorded:
    """Measure the runs of one leg, each of another seed, as a reference called ``name``.

    Args:
        name: The reference's.
        sources: Where the runs lie.
        source: Where the reference is from, for people.

    Raises:
        BadInput: A run did not finish, or the runs are not of one job.
    """
    leg = read_leg(Leg(name, tuple(sources)))
    if leg.unusable:
        raise BadInput(f"{leg.unusable}; only finished runs are recorded")
    different = differing_options([leg])
    if different:
        raise BadInput(f"option {different[0].name} differs between the runs ({different[0].values[name]})")
    dataset, options = leg.first.options.dataset, leg.first.options.options
    if any(run.options.dataset.digest != dataset.digest for run in leg.runs):
        raise BadInput("the runs are of different datasets; record each by itself")
    ended = max(run.history.ended for run in leg.runs if run.history.ended)
    return Recorded(
        name=name,
        source=source,
        date=_date(ended),
        hardware=leg.first.description,
        dataset=RecordedDataset(name=dataset.name, digest=dataset.digest),
        options={key: value for key, value in options.items() if key not in UNRECORDED},
        measurements=_measurements(measure(leg).values),
    )


def _from_mlflow(run_id: str) -> Recorded:
    """Take the numbers of a run's summary, from the server of MLFLOW_TRACKING_URI, else from the local store."""
    from components.tracking.reasons import explain
    from components.tracking.runs import find_run
    from components.tracking.store import connect, resolve_tracking_uri

    label = f"reference {MLFLOW}{run_id}"
    if not (run_id.isascii() and run_id.isalnum()):
        raise BadInput(f"{label}: no id of a run; MLflow's page of the run names it")
    uri = resolve_tracking_uri(None)
    try:
        run = find_run(connect(uri), run_id)
    except DualGANError:
        raise
    except Exception as error:
        raise DualGANError(f"{label}: {explain(error, uri)}") from None
    if run is None:
        raise BadInput(f"{label}: {uri} has no such run that you may read")
    tags, metrics, ended = run.data.tags, run.data.metrics, (run.info.end_time or 0) / 1000
    if "leg" not in tags or run.info.status != "FINISHED" or not run.inputs.dataset_inputs or not 0 < ended < MAX_TIME:
        raise BadInput(f"{label}: not the run of a leg that finished; name a leg's run")
    dataset = run.inputs.dataset_inputs[0].dataset
    values = {name: (metrics[SUMMARY + name],) for name in ALL if metrics.get(SUMMARY + name, 0) > 0}
    content = {
        "name": tags["leg"],
        "source": f"MLflow run {run_id}",
        "date": _date(ended),
        "hardware": f"TensorFlow {tags.get('tensorflow', '?')} on {tags.get('device_name') or tags.get('device', '?')}",
        "dataset": {"name": dataset.name, "digest": dataset.digest},
        "options": {name: _value(text) for name, text in run.data.params.items() if name not in UNRECORDED},
        "measurements": _measurements(values),
    }
    return validate(content, Recorded, label)


def _measurements(values: Mapping[str, Sequence[float | None]]) -> dict[str, Any]:
    """Describe measured values, less those that a run lacks or has as zero."""
    whole = {name: [value for value in of_runs if value] for name, of_runs in values.items() if all(of_runs)}
    return {
        name: {
            "value": geometric_mean(known),
            "unit": ALL[name].unit,
            "definition": ALL[name].definition,
            "certainty": "measured",
            "repeats": len(known),
            "values": tuple(known),
        }
        for name, known in whole.items()
    }


def _value(text: str) -> Any:
    """Return what a parameter was before it became text."""
    try:
        return parse_json(text, "parameter")
    except DamagedFile:
        return text


def _date(timestamp: float) -> datetime.date:
    return datetime.datetime.fromtimestamp(timestamp, datetime.UTC).date()
