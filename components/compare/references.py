"""References as data: what was measured once and is held against later legs, from a file, from MLflow or from runs."""

import datetime
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import geometric_mean
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, model_validator

from components.compare.leg import ABSENT, OWN_OPTIONS, Leg, LegRuns, Source, differing_options, read_leg
from components.compare.measure import ALL, Measured, measure
from components.compare.records import read_record, validate
from components.compare.verdict import RecordedResult, join
from dualgan.errors import BadInput, DualGANError
from dualgan.json_files import DamagedFile, parse_json
from dualgan.run_folder import MAX_TIME

# References that come with the software.
FOLDER = Path(__file__).parent / "known_references"
# Options that neither change what is computed nor how long it takes.
UNRECORDED = OWN_OPTIONS | {"dataset_name", "log_freq", "keep_checkpoints", "on_nan"}
SUMMARY = "summary/"
MLFLOW = "mlflow:"
Positive = Annotated[FiniteFloat, Field(gt=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_max_length=10_000)


class Measurement(_Strict):
    """One number of a reference, with definition and unit as Measure has them.

    Attributes:
        value: The number, or the geometric mean of ``values``.
        certainty: Whether the definition is "measured" by this software, "stated" by the source, or "inferred" by us
            from what the source's code prints.
        repeats: In how many runs it was measured.
        values: Those of the single runs if they are known.
    """

    value: Positive
    unit: str
    definition: str
    certainty: Literal["measured", "stated", "inferred"]
    repeats: int = Field(ge=1)
    values: tuple[Positive, ...] = ()
    note: str = ""

    @model_validator(mode="after")
    def _has_a_value_for_each_repeat(self) -> Self:
        if self.values and len(self.values) != self.repeats:
            raise ValueError(f"{len(self.values)} values for {self.repeats} repeats")
        return self

    def mismatch(self, name: str) -> str | None:
        """Say why the number is not the measure ``name`` of this software, None if it is."""
        expected = ALL.get(name)
        if expected is None:
            return f"{name} is no measure of this software"
        if self.unit != expected.unit:
            return f"{name} is in {self.unit!r}, not in {expected.unit!r}"
        if self.definition != expected.definition:
            return f"{name} is of another definition ({self.definition!r}, not {expected.definition!r})"
        return None


class RecordedDataset(_Strict):
    """The data of a reference; ``digest`` is None if the data's content is not known."""

    name: str
    digest: str | None = None


class Recorded(_Strict):
    """A recorded reference: ``options`` are those that a candidate has to have too, ``measurements`` some of ALL."""

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
        mismatches = {name: reason for name, one in self.measurements.items() if (reason := one.mismatch(name))}
        usable = {name: one for name, one in self.measurements.items() if name not in mismatches}
        return Measured(
            self.name,
            {name: one.values or (one.value,) for name, one in usable.items()},
            is_well_known=self.dataset.digest is not None,
            mismatches=mismatches,
            inferred=[name for name, one in usable.items() if one.certainty == "inferred"],
        )

    def result(self) -> RecordedResult:
        """Return what comparison.json says of the reference."""
        date = self.date.isoformat() if self.date else None
        values = {name: measurement.value for name, measurement in self.measurements.items()}
        return RecordedResult(source=self.source, date=date, hardware=self.hardware, values=values)

    def job_mismatch(self, candidate: LegRuns) -> str | None:
        """Say why the candidate did another job than the reference, None if it did the same as far as that is known."""
        dataset, digest = candidate.first.options.dataset, self.dataset.digest
        if digest is not None and not dataset.digest.startswith(digest):
            return f"it is of other data ({self.dataset.name} {digest[:12]}, not {dataset.name} {dataset.digest[:12]})"
        if digest is None and self.dataset.name != dataset.name:
            return f"it is of other data ({self.dataset.name}, not {dataset.name})"
        own = candidate.first.options.options
        differing = [
            f"{name} {json.dumps(value)}, not {json.dumps(own[name]) if name in own else ABSENT}"
            for name, value in self.options.items()
            if name not in own or own[name] != value
        ]
        return f"it is of other options: {join(differing)}" if differing else None


def load_reference(text: str) -> Recorded:
    """Load a recorded reference: "published", mlflow:RUN or a file.

    Raises BadInput, naming the first wrong thing, if it is none, and DualGANError if MLflow's server does not answer.
    """
    if text.startswith(MLFLOW):
        return _from_mlflow(text.removeprefix(MLFLOW))
    if "://" in text:
        raise BadInput(f"reference {text}: neither a file nor {MLFLOW}RUN; download it first")
    known = {path.stem: path for path in sorted(FOLDER.glob("*.json"))}
    path = known.get(text, Path(text))
    remedy = f"; give what `parity compare record` wrote, or one of {', '.join(known)}"
    return read_record(path, Recorded, f"reference {path}", remedy)


def record(name: str, sources: Sequence[Source], source: str) -> Recorded:
    """Measure the runs of one leg, each of another seed, as a reference called ``name`` that is from ``source``.

    Raises BadInput if a run did not finish, or the runs are not of one job.
    """
    leg = read_leg(Leg(name, tuple(sources)))
    if leg.unusable:
        raise BadInput(f"{leg.unusable}; only finished runs are recorded")
    different = differing_options([leg])
    if different:
        raise BadInput(f"option {different[0].name} differs between the runs ({different[0].values[name]})")
    dataset = leg.first.options.dataset
    if any(run.options.dataset.digest != dataset.digest for run in leg.runs):
        raise BadInput("the runs are of different datasets; record each by itself")
    return _recorded(
        f"leg {name}",
        name=name,
        source=source,
        ended=max(run.history.ended for run in leg.runs),
        hardware=leg.first.description,
        dataset={"name": dataset.name, "digest": dataset.digest},
        options=leg.first.options.options,
        values=measure(leg).values,
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
    return _recorded(
        label,
        name=tags["leg"],
        source=f"MLflow run {run_id}",
        ended=ended,
        hardware=f"TensorFlow {tags.get('tensorflow', '?')} on {tags.get('device_name') or tags.get('device', '?')}",
        dataset={"name": dataset.name, "digest": dataset.digest},
        options={name: _value(text) for name, text in run.data.params.items()},
        values={name: (metrics.get(SUMMARY + name, 0),) for name in ALL},
    )


def _recorded(
    label: str, ended: float, options: Mapping[str, Any], values: Mapping[str, Sequence[float | None]], **known: Any
) -> Recorded:
    """Return a record of measured values, less those that a run lacks or has as zero."""
    whole = {name: [value for value in of_runs if value and value > 0] for name, of_runs in values.items()}
    measurements = {
        name: {
            "value": geometric_mean(found),
            **ALL[name]._asdict(),
            "certainty": "measured",
            "repeats": len(found),
            "values": tuple(found),
        }
        for name, found in whole.items()
        if len(found) == len(values[name])
    }
    date = datetime.datetime.fromtimestamp(ended, datetime.UTC).date()
    shown = {name: value for name, value in options.items() if name not in UNRECORDED}
    return validate({**known, "date": date, "options": shown, "measurements": measurements}, Recorded, label)


def _value(text: str) -> Any:
    """Return what a parameter was before it became text."""
    try:
        return parse_json(text, "parameter")
    except DamagedFile:
        return text
