"""The candidate that is published, and which alias it gets: ``challenger``, and ``champion`` if the evidence allows it.

A model is not worse than the present champion if none of LOSSES is above ``max_loss_ratio`` times the champion's:
the bound that the comparison of legs holds the same losses against. It does not drift, for every model must have passed
against the reference leg of its own pipeline run as well.
"""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from components.compare.records import Options, Summary, read_options, read_summary
from components.compare.verdict import Comparison
from components.tracking.runs import readable_key
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import RunFolder

CHALLENGER, CHAMPION = "challenger", "champion"
LOSSES = ("min_loss", "final_A_loss", "final_B_loss")
# MLflow keeps 256 characters.
MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class Candidate:
    """A leg that finished: its run folder, and the folder and content of the comparison that it was judged by."""

    leg: str
    run: Path
    folder: Path
    comparison: Comparison
    options: Options
    summary: Summary

    def tags(self) -> dict[str, str]:
        """Return what the next candidate is held against; see Standing.of. Losses are those that were measured."""
        size = self.options.options.get("image_size")
        if not isinstance(size, int):
            raise BadInput(f"{RunFolder(self.run).options}: image_size {size!r} is no whole number; train the leg anew")
        final = self.summary.final_loss
        losses = (self.summary.min_loss, final and final.A_loss, final and final.B_loss)
        return {
            "leg": self.leg,
            "reference": self.comparison.reference,
            "dataset": self.options.dataset.name,
            "dataset_digest": self.options.dataset.digest,
            "image_size": str(size),
            "verdict": self.comparison.verdict.value,
            **{name: repr(loss) for name, loss in zip(LOSSES, losses, strict=True) if loss is not None},
        }


def read_candidate(leg: str | None, run: Path, folder: Path) -> Candidate:
    """Return the candidate ``leg`` of the comparison in ``folder`` (None: its only one), whose run folder is ``run``.

    Raises:
        BadInput: One of the two is missing, damaged, or of another leg; the message names the file.
        DualGANError: The leg did not finish.
    """
    file = folder / "comparison.json"
    found = Comparison.read(file)
    leg = leg or (found.candidates[0] if len(found.candidates) == 1 else None)
    if leg not in found.candidates:
        raise BadInput(f"{file}: --leg {leg}: not among its candidates, {', '.join(found.candidates)}")
    options, summary = read_options(RunFolder(run).options), read_summary(RunFolder(run).summary)
    if summary is None or summary.status != "finished":
        state = summary.status if summary else "no summary.json"
        raise DualGANError(f"{run}: the leg {leg} did not finish ({state}); only a finished leg is published")
    runs = found.legs[leg].runs if leg in found.legs else ()
    judged = [(one.result.get("min_loss"), one.result.get("steps")) for one in runs]
    if (summary.min_loss, summary.steps) not in judged:
        known = " or ".join(f"min_loss {loss} and {steps} steps" for loss, steps in judged) or "no run"
        raise BadInput(
            f"{file}: its {leg} has {known}, the run folder min_loss {summary.min_loss} and {summary.steps} steps; "
            "give the run folder that was compared"
        )
    return Candidate(leg, run, folder, found, options, summary)


def model_name(dataset: str) -> str:
    """Return the name of a dataset's registered model, which no other dataset's has."""
    return f"dualgan-{readable_key(dataset, MAX_NAME_BYTES, plain='_.-')}"


def checked_name(name: str) -> str:
    """Return ``name`` if MLflow's registry and its searches take it. Raises BadInput for any other."""
    if not name.strip() or any(character in name for character in "/:'\"\\\n"):
        raise BadInput(f"model name {name!r}: must be text without slashes, colons, quotes and line ends")
    return name


@dataclass(frozen=True)
class Standing:
    """What speaks for a model: the losses that were measured, by their names in LOSSES, and on what."""

    version: str
    verdict: str
    dataset_digest: str
    image_size: int
    losses: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, version: str, tags: Mapping[str, str]) -> "Standing":
        """Read what the tags of a model version say."""
        numbers: dict[str, float] = {}
        for name in (*LOSSES, "image_size"):
            with contextlib.suppress(KeyError, ValueError):
                numbers[name] = float(tags[name])
        size = int(numbers.pop("image_size", 0))
        return cls(version, tags.get("verdict", ""), tags.get("dataset_digest", ""), size, numbers)


@dataclass(frozen=True)
class Promotion:
    """Whether a model becomes champion; ``reason`` is one plain clause."""

    champion: bool
    reason: str


def decide(candidate: Standing, champion: Standing | None, max_loss_ratio: float) -> Promotion:
    """Return whether ``candidate`` takes the place of ``champion``, None if there is none yet."""
    if candidate.verdict != "pass":
        return Promotion(False, f"the comparison's verdict is {candidate.verdict}")
    if champion is None or champion.version == candidate.version:
        known = "it is the champion already" if champion else "there was no champion yet"
        return Promotion(True, f"the comparison passed, and {known}")
    before = f"the champion, version {champion.version},"
    if difference := _difference(candidate, champion):
        return Promotion(False, f"{before} {difference}; so a person has to choose")
    for name in LOSSES:
        if name not in candidate.losses or not champion.losses.get(name):
            return Promotion(False, f"of it or of {before} {name} was not measured")
    ratios = {name: candidate.losses[name] / champion.losses[name] for name in LOSSES}
    worst = max(ratios, key=lambda name: ratios[name])
    measured = f"{worst} is {ratios[worst]:.3f} times that of {before} and the bound is {max_loss_ratio:.3f}"
    if ratios[worst] > max_loss_ratio:
        return Promotion(False, f"it is worse: {measured}")
    return Promotion(True, f"the comparison passed, and it is not worse: {measured}")


def _difference(candidate: Standing, champion: Standing) -> str | None:
    """Return why the two cannot be compared, None if they can."""
    if champion.dataset_digest != candidate.dataset_digest:
        digests = f"digest {champion.dataset_digest[:12]}, this {candidate.dataset_digest[:12]}"
        return f"was trained on other data ({digests})"
    if champion.image_size != candidate.image_size:
        return f"takes images of {champion.image_size} px, this of {candidate.image_size} px"
    return None
