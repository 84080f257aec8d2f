"""Record a trained leg as a reference that later legs are held against, without it."""

import datetime
from collections.abc import Sequence

from components.compare.axes.images import image_values
from components.compare.axes.training import losses_of
from components.compare.leg import Leg, Source, read_leg
from components.compare.measure import ALL
from components.compare.options import OWN_OPTIONS, RUN_OPTIONS, differing_options
from components.compare.references import Measurement, Recorded, RecordedDataset
from components.compare.samples import picture_problem
from components.compare.statistics import geometric_mean
from dualgan.errors import BadInput

# What neither changes what is computed nor how long it takes.
UNRECORDED = OWN_OPTIONS | RUN_OPTIONS | {"dataset_name", "log_freq", "keep_checkpoints", "on_nan"}


def record(name: str, sources: Sequence[Source], source: str) -> Recorded:
    """The reference that the runs in ``sources`` give: one leg, each run of another seed.

    ``source``: where it is from, for people. Raises BadInput where a run did not finish, or runs are not of one job.
    """
    leg = read_leg(Leg(name, tuple(sources)))
    if leg.unusable:
        raise BadInput(f"{leg.unusable}; only finished runs are recorded")
    different = differing_options([leg])
    if different:
        raise BadInput(f"option {different[0].name} differs between the runs ({different[0].values[name]})")
    if len({run.options.dataset.digest for run in leg.runs}) > 1:
        raise BadInput("the runs are of different datasets; record each by itself")
    values = dict(losses_of(leg).values)
    if not any(picture_problem(run) for run in leg.runs):
        values |= image_values(leg)
    seconds = tuple(run.summary.sec_per_step if run.summary else None for run in leg.runs)
    values["sec_per_step"] = seconds
    dataset, options = leg.first.options.dataset, leg.first.options.options
    ended = [run.history.ended for run in leg.runs if run.history.ended]
    return Recorded(
        name=name,
        source=source,
        date=datetime.datetime.fromtimestamp(max(ended), datetime.UTC).date(),
        hardware=leg.first.description,
        dataset=RecordedDataset(name=dataset.name, digest=dataset.digest),
        options={key: value for key, value in options.items() if key not in UNRECORDED},
        measurements={key: _measurement(key, found) for key, found in values.items() if all(found)},
    )


def _measurement(name: str, values: Sequence[float | None]) -> Measurement:
    known = [value for value in values if value]
    return Measurement(
        value=geometric_mean(known),
        unit=ALL[name].unit,
        definition=ALL[name].definition,
        certainty="measured",
        repeats=len(known),
        values=tuple(known),
    )
