"""A leg that goes wrong late in a training is named by the size of its updates and the weights of its losses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from components.compare.axes.drift import late_drift
from components.compare.bounds import Bounds
from components.compare.leg import LegRun, read_leg
from dualgan.run_folder import NETWORKS
from tests.components.run_folders import write_leg

STEPS = 1200


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> LegRun:
    return read_leg(write_leg("leg", tmp_path_factory.mktemp("leg"), [0], steps=STEPS)).first


def trained(run: LegRun, noise: int, late_size: float = 1.0, late_weight: float = 1000.0, steps: int = STEPS) -> LegRun:
    """``run`` with updates of 0.1; in its later half ``late_size`` times that, and a lambda_A of ``late_weight``."""
    random = np.random.default_rng(noise)
    is_late = np.arange(steps) >= steps // 2
    sizes = 0.1 * random.lognormal(0, 0.2, (steps, len(NETWORKS))) * np.where(is_late, late_size, 1.0)[:, None]
    A_loss, B_loss = random.uniform(0.05, 0.15, (2, steps))
    adversarial = np.cumsum(random.normal(0, 1, steps))
    losses = {
        **run.history.losses,
        "A_loss": A_loss,
        "B_loss": B_loss,
        "Ag_loss": adversarial + 1000 * B_loss,
        "Bg_loss": adversarial + np.where(is_late, late_weight, 1000.0) * A_loss,
    }
    history = dataclasses.replace(run.history, steps=np.arange(1, steps + 1), losses=losses, update_norms=sizes)
    return dataclasses.replace(run, history=history)


def problems(run: LegRun, **candidate: float) -> list[str]:
    pairs = [(trained(run, seed), trained(run, 10 + seed, **candidate)) for seed in range(3)]  # type: ignore[arg-type]
    return late_drift(pairs, Bounds())[0]


def test_equal_legs_of_other_noise_do_not_drift(run: LegRun) -> None:
    assert problems(run) == []


def test_updates_that_become_smaller_name_the_networks(run: LegRun) -> None:
    found = problems(run, late_size=0.5)
    assert [text.split()[3] for text in found] == list(NETWORKS)
    assert "over the last quarter of the steps (bound 1.30)" in found[0]


@pytest.mark.parametrize("weight", [500.0, 1300.0])
def test_a_weight_that_drifts_names_its_option(run: LegRun, weight: float) -> None:
    (found,) = problems(run, late_weight=weight)
    assert found.startswith("A_loss weighs ") and found.endswith("(lambda_A)")


def test_short_runs_are_no_evidence(run: LegRun) -> None:
    pair = trained(run, 0, steps=300), trained(run, 1, late_size=0.5, steps=300)
    assert late_drift([pair], Bounds()) == ([], {})


def test_what_was_not_logged_is_no_evidence(run: LegRun, tmp_path: Path) -> None:
    silent = dataclasses.replace(
        run.history, losses={}, update_norms=np.full((STEPS, len(NETWORKS)), np.nan), steps=np.arange(STEPS)
    )
    pair = trained(run, 0), dataclasses.replace(run, history=silent)
    assert late_drift([pair], Bounds()) == ([], {})
