"""Which alias a model gets: ``challenger``, and ``champion`` if the evidence allows it.

A model is not worse than the present champion if none of LOSSES is above ``max_loss_ratio`` times the champion's:
the bound that the comparison of legs holds the same losses against. It does not drift, for every model must have passed
against the reference leg of its own pipeline run as well.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

CHALLENGER, CHAMPION = "challenger", "champion"
LOSSES = ("min_loss", "final_A_loss", "final_B_loss")
PASS = "pass"


@dataclass(frozen=True)
class Standing:
    """What speaks for a model: the losses that were measured, by their names in LOSSES, and on what."""

    version: str
    verdict: str
    dataset_digest: str
    image_size: int
    losses: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Promotion:
    """Whether a model becomes champion; ``reason`` is one plain clause."""

    champion: bool
    reason: str


def decide(candidate: Standing, champion: Standing | None, max_loss_ratio: float) -> Promotion:
    """Return whether ``candidate`` takes the place of ``champion``, None if there is none yet."""
    if candidate.verdict != PASS:
        return Promotion(False, f"the comparison's verdict is {candidate.verdict}")
    if champion is None:
        return Promotion(True, "the comparison passed, and there was no champion yet")
    if champion.version == candidate.version:
        return Promotion(True, "the comparison passed, and it is the champion already")
    return _against(champion, candidate, max_loss_ratio)


def _against(champion: Standing, candidate: Standing, max_loss_ratio: float) -> Promotion:
    before = f"the champion, version {champion.version},"
    difference = _difference(candidate, champion)
    if difference:
        return Promotion(False, f"{before} {difference}; so a person has to choose")
    ratios = {name: _ratio(candidate, champion, name) for name in LOSSES}
    known = {name: ratio for name, ratio in ratios.items() if ratio is not None}
    if len(known) < len(LOSSES):
        missing = [name for name in LOSSES if name not in known]
        return Promotion(False, f"of it or of {before} {missing[0]} was not measured")
    worst = max(known, key=lambda name: known[name])
    measured = f"{worst} is {known[worst]:.3f} times that of {before} and the bound is {max_loss_ratio:.3f}"
    if known[worst] > max_loss_ratio:
        return Promotion(False, f"it is worse: {measured}")
    return Promotion(True, f"the comparison passed, and it is not worse: {measured}")


def _difference(candidate: Standing, champion: Standing) -> str | None:
    """Return why the two cannot be compared, None if they can."""
    if champion.dataset_digest != candidate.dataset_digest:
        return f"was trained on other data (digest {_short(champion)}, this {_short(candidate)})"
    if champion.image_size != candidate.image_size:
        return f"takes images of {champion.image_size} px, this of {candidate.image_size} px"
    return None


def _short(standing: Standing) -> str:
    return standing.dataset_digest[:12]


def _ratio(candidate: Standing, champion: Standing, name: str) -> float | None:
    mine, theirs = candidate.losses.get(name), champion.losses.get(name)
    return mine / theirs if mine is not None and theirs else None
