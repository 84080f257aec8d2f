"""The candidate that is published: a leg that finished, and the comparison that it was judged by."""

from dataclasses import dataclass
from pathlib import Path

from components.compare.records import Options, Summary, read_options, read_summary
from components.compare.result import Comparison
from components.tracking.runs import readable_key
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import RunFolder

# MLflow keeps 256 characters.
MAX_NAME_BYTES = 200


@dataclass(frozen=True)
class Candidate:
    """A leg's run folder beside what is known of it. ``max_loss_ratio`` is the comparison's bound of losses."""

    leg: str
    run: Path
    comparison: Path
    options: Options
    summary: Summary
    verdict: str
    reason: str
    reference: str
    max_loss_ratio: float

    @property
    def losses(self) -> dict[str, float]:
        """The losses that were measured and are finite, by their names in promotion.LOSSES."""
        final = self.summary.final_loss
        found = {
            "min_loss": self.summary.min_loss,
            "final_A_loss": final.A_loss if final else None,
            "final_B_loss": final.B_loss if final else None,
        }
        return {name: value for name, value in found.items() if value is not None}

    @property
    def image_size(self) -> int:
        size = self.options.options.get("image_size")
        if not isinstance(size, int):
            raise BadInput(f"{RunFolder(self.run).options}: image_size {size!r} is no whole number; train the leg anew")
        return size


def read_candidate(leg: str | None, run: Path, comparison: Path) -> Candidate:
    """Return the candidate ``leg`` of the comparison folder (None: its only one), whose run folder is ``run``.

    Raises:
        BadInput: One of the two is missing, damaged, or of another leg; the message names the file.
        DualGANError: The leg did not finish.
    """
    file = comparison / "comparison.json"
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
    bound = found.bounds.max_loss_ratio
    return Candidate(leg, run, comparison, options, summary, found.verdict.value, found.reason, found.reference, bound)


def model_name(dataset: str) -> str:
    """Return the name of a dataset's registered model, which no other dataset's has."""
    return f"dualgan-{readable_key(dataset, MAX_NAME_BYTES, plain='_.-')}"


def checked_name(name: str) -> str:
    """Return ``name`` if MLflow's registry and its searches take it. Raises BadInput for any other."""
    if not name.strip() or any(character in name for character in "/:'\"\\\n"):
        raise BadInput(f"model name {name!r}: must be text without slashes, colons, quotes and line ends")
    return name
