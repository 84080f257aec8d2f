"""Which alias a model gets."""

from dataclasses import replace

import pytest

from components.publish.candidate import Standing, decide

LOSSES = {"min_loss": 0.02, "final_A_loss": 0.05, "final_B_loss": 0.06}
CHAMPION = Standing("3", "pass", "a" * 64, 256, LOSSES)
CANDIDATE = replace(CHAMPION, version="4")
BOUND = 1.15


def test_the_first_that_passes_is_the_champion_and_stays_it_if_it_is_published_again() -> None:
    assert decide(CANDIDATE, None, BOUND).champion
    assert decide(CHAMPION, CHAMPION, BOUND).champion


@pytest.mark.parametrize("verdict", ["fail", "inconclusive", "not_measured", ""])
def test_without_a_verdict_of_pass_none_becomes_champion(verdict: str) -> None:
    decision = decide(replace(CANDIDATE, verdict=verdict), None, BOUND)
    assert not decision.champion and f"verdict is {verdict}" in decision.reason


@pytest.mark.parametrize(
    ("factor", "champion"), [(0.5, True), (1.0, True), (1.149, True), (1.151, False), (2.0, False)]
)
@pytest.mark.parametrize("loss", list(LOSSES))
def test_a_candidate_with_any_loss_above_the_bound_is_worse(loss: str, factor: float, champion: bool) -> None:
    candidate = replace(CANDIDATE, losses={**LOSSES, loss: factor * LOSSES[loss]})
    decision = decide(candidate, CHAMPION, BOUND)
    assert decision.champion is champion
    assert "version 3" in decision.reason and "1.150" in decision.reason


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"dataset_digest": "b" * 64}, "other data (digest aaaaaaaaaaaa, this bbbbbbbbbbbb)"),
        ({"image_size": 128}, "images of 256 px, this of 128 px"),
        ({"losses": {"min_loss": 0.02}}, "final_A_loss was not measured"),
    ],
)
def test_what_cannot_be_compared_is_said_and_left_to_a_person(changes: dict[str, object], named: str) -> None:
    decision = decide(replace(CANDIDATE, **changes), CHAMPION, BOUND)  # type: ignore[arg-type]
    assert not decision.champion and named in decision.reason
