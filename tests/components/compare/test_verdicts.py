"""What compare() says of legs that are equal, and of legs that are broken in one way."""

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageFilter

from components.compare.bounds import AxisName, Bounds
from components.compare.judge import DEFAULT, compare, judge
from components.compare.leg import Leg, LegRuns, Source, read_leg
from components.compare.verdict import Axis, Comparison, Verdict
from dualgan.run_folder import RunFolder, sample_path
from tests.components.run_folders import loss_table, write_events, write_leg, write_run

FUNCTION, ARITHMETIC, TRAINING, IMAGES, PERFORMANCE = AxisName
PASS, FAIL, INCONCLUSIVE, NOT_MEASURED = Verdict
MEASURED_HERE = (FUNCTION, TRAINING, IMAGES, PERFORMANCE)


Judged = Callable[..., Comparison]


@pytest.fixture(scope="module")
def compare_with(tmp_path_factory: pytest.TempPathFactory) -> Judged:
    """Comparisons with a sound reference of as many seeds as the candidate has, which is written once."""
    folder = tmp_path_factory.mktemp("references")

    @functools.cache
    def reference(seeds: int) -> LegRuns:
        return read_leg(write_leg("gpu", folder / str(seeds), range(seeds), noise=1))

    def compared(candidate: Leg, bounds: Bounds = DEFAULT) -> Comparison:
        return judge(reference(len(candidate.sources)), [read_leg(candidate)], bounds)

    return compared


@pytest.fixture
def judged(tmp_path: Path, compare_with: Judged) -> Judged:
    """The comparison of a candidate that is as write_leg's arguments say."""
    return lambda **candidate: compare_with(write_leg("npu", tmp_path / "candidate", noise=2, **candidate))


@pytest.fixture
def of_seeds(tmp_path: Path, compare_with: Judged) -> Judged:
    """The comparison of a candidate whose seeds are each as the arguments of write_run say."""

    def compared(seeds: Sequence[Mapping[str, Any]]) -> Comparison:
        runs = [
            write_run(tmp_path / str(seed), **{**run, "options": {"seed": seed, **run.get("options", {})}})
            for seed, run in enumerate(seeds)
        ]
        return compare_with(Leg("npu", tuple(map(Source, runs))))

    return compared


def change_each(leg: Leg, change: Callable[[RunFolder], None]) -> Leg:
    for source in leg.sources:
        change(RunFolder(source.run))
    return leg


def number(axis: Axis, name: str) -> float:
    value = axis.numbers["npu"][name]
    assert isinstance(value, float)
    return value


def test_two_equal_legs_pass_on_every_axis_that_was_measured(judged: Judged) -> None:
    comparison = judged(sec_per_step=0.05)
    assert {comparison.axes[name].verdict for name in MEASURED_HERE} == {PASS}
    assert (comparison.verdict, comparison.caveats) == (PASS, ("arithmetic was not measured",))
    training, images, performance = (comparison.axes[name] for name in (TRAINING, IMAGES, PERFORMANCE))
    assert number(training, "steps_to_goal_ratio") == pytest.approx(1.0, rel=0.1)
    assert number(performance, "seconds_to_goal_ratio") == pytest.approx(0.5, rel=0.1)
    assert performance.numbers["npu"]["energy_joules_candidate"] == "not_measured"
    # In the units of the losses.
    assert number(images, "B2A2B_error_candidate") == pytest.approx(6.0 / 127.5, rel=0.1)
    assert 0.5 < number(images, "A2B2A_input_ssim_candidate") < 1
    assert 20 < number(images, "B2A2B_input_psnr_db_reference") < 40
    assert 0.5 < number(images, "B2A_ssim") < 1


def test_one_run_a_leg_is_not_enough_for_a_verdict_on_training(judged: Judged) -> None:
    comparison = judged(seeds=[0])
    assert comparison.axes[TRAINING].verdict is INCONCLUSIVE
    assert "weak evidence" in comparison.axes[TRAINING].reason
    assert "2 further seeds a leg (3 in all) would show how much seeds differ" in comparison.axes[TRAINING].reason
    assert "`parity run --resume RUN --seeds 3`" in comparison.axes[TRAINING].reason
    assert comparison.verdict is INCONCLUSIVE
    assert "one run of gpu and of npu" in comparison.caveats[0]


def test_losses_that_scatter_beyond_the_margin_leave_training_inconclusive(of_seeds: Judged) -> None:
    axis = of_seeds([{"loss_factor": factor} for factor in (0.7, 1.0, 1.4)]).axes[TRAINING]
    assert axis.verdict is INCONCLUSIVE
    assert " in all; a run takes 10) would decide it with 80% probability" in axis.reason
    assert "`parity run --resume RUN --seeds 10`" in axis.reason


def add_noise(run: RunFolder) -> None:
    for path in run.samples_of(60).glob("*-B2A.png"):
        with Image.open(path) as picture:
            noise = Image.effect_noise(picture.size, 160).convert("RGB")
            Image.blend(picture.filter(ImageFilter.GaussianBlur(0.6)), noise, 0.6).save(path)


def swap_channels(run: RunFolder) -> None:
    for path in run.samples_of(60).glob("*.png"):
        with Image.open(path) as picture:
            swapped = Image.merge("RGB", picture.split()[::-1])
        swapped.save(path)


def lose_a_kind(run: RunFolder) -> None:
    for path in run.samples_of(60).glob("*-B2A2B.png"):
        path.unlink()


def with_losses(change: Callable[[int, dict[str, float]], None]) -> Callable[[RunFolder], None]:
    """Return what changes the losses of each step, by its number."""

    def rewrite(run: RunFolder) -> None:
        losses = loss_table(60, noise=2)
        for step, metrics in enumerate(losses, 1):
            change(step, metrics)
        write_events(run.events, losses)

    return rewrite


def worse_at_the_end(step: int, losses: dict[str, float]) -> None:
    losses["B_loss"] *= 1.5 if step > 54 else 1


def without_b_loss(step: int, losses: dict[str, float]) -> None:
    del losses["B_loss"]


def at_one_step(name: str, value: float) -> Callable[[int, dict[str, float]], None]:
    return lambda step, losses: losses.update({name: value} if step == 50 else {})


@pytest.mark.parametrize(
    ("candidate", "expected", "words"),
    [
        ({"loss_factor": 1.3}, {TRAINING: FAIL, IMAGES: PASS}, "losses are not like gpu's: final A_loss is 1.3"),
        ({"loss_factor": 0.8}, {TRAINING: FAIL}, "final A_loss is 0.8"),
        ({"loss_factor": 1.6, "seeds": [0]}, {TRAINING: FAIL}, "times as high (bound 0.667 to 1.5)"),
        ({"loss_factor": 0.6, "seeds": [0]}, {TRAINING: FAIL}, "times as high (bound 0.667 to 1.5)"),
        ({"seeds": [3, 4, 5]}, {TRAINING: PASS, IMAGES: PASS}, ""),
        (
            {"steps": 200},
            {FUNCTION: FAIL, TRAINING: NOT_MEASURED},
            "compared: gpu (seed 0) took 60 steps, npu (seed 0) 2",
        ),
        ({"blur": 1.0}, {TRAINING: PASS, IMAGES: FAIL}, "sharpness is"),
        ({"blur": 1.0, "seeds": [0]}, {TRAINING: INCONCLUSIVE, IMAGES: FAIL}, "sharpness is"),
        ({"rebuilding_error": 12.0}, {TRAINING: FAIL, IMAGES: FAIL}, "B2A2B error is"),
        ({"sec_per_step": None}, {PERFORMANCE: NOT_MEASURED}, "npu measured no sec/step"),
        ({"options": {"lr": 1e-4}}, {FUNCTION: FAIL}, "option lr is 5e-05 in gpu and 0.0001 in npu"),
        ({"options": {"flip": True}}, {FUNCTION: FAIL}, "option flip is absent in gpu and true in npu"),
        ({"options": {"threads": 16, "run_dir": "/x", "precision_mode": "force_fp32"}}, {FUNCTION: PASS}, ""),
        ({"digest": "b" * 64}, {FUNCTION: FAIL, TRAINING: NOT_MEASURED, IMAGES: NOT_MEASURED}, "the datasets differ"),
        ({"images": 3, "seeds": [0]}, {FUNCTION: FAIL, IMAGES: NOT_MEASURED}, "val-003-real_A.png is among the sam"),
        (add_noise, {FUNCTION: PASS, IMAGES: FAIL}, "B2A distance is"),
        (swap_channels, {FUNCTION: FAIL}, "is not the same picture in gpu"),
        (lose_a_kind, {FUNCTION: FAIL, IMAGES: NOT_MEASURED}, "has no sample picture B2A2B"),
        (with_losses(worse_at_the_end), {TRAINING: FAIL}, "losses are not like gpu's: final B_loss is 1."),
        (
            with_losses(without_b_loss),
            {FUNCTION: PASS, TRAINING: INCONCLUSIVE},
            "no ratio of reconstruction loss, final B_loss",
        ),
        # A single step is judged against gross differences alone.
        (with_losses(at_one_step("A_loss", 0.04)), {TRAINING: PASS}, "the bounds: A2B2A error "),
        (with_losses(at_one_step("A_loss", 0.03)), {TRAINING: FAIL}, "losses are not like gpu's: min loss is"),
        (with_losses(at_one_step("d_loss", math.nan)), {FUNCTION: FAIL, TRAINING: NOT_MEASURED}, "d_loss at step 50"),
        (with_losses(at_one_step("g_loss", math.inf)), {FUNCTION: FAIL, TRAINING: NOT_MEASURED}, "g_loss at step 50"),
    ],
)
def test_a_candidate_that_differs_in_one_thing(
    compare_with: Judged,
    tmp_path: Path,
    candidate: dict[str, Any] | Callable[[RunFolder], None],
    expected: dict[AxisName, Verdict],
    words: str,
) -> None:
    leg = write_leg("npu", tmp_path / "npu", noise=2, **(candidate if isinstance(candidate, dict) else {}))
    comparison = compare_with(leg if isinstance(candidate, dict) else change_each(leg, candidate))
    assert {name: comparison.axes[name].verdict for name in expected} == expected
    assert words in " ".join(axis.reason for axis in comparison.axes.values())
    assert (comparison.verdict is PASS) is (set(expected.values()) == {PASS} or PERFORMANCE in expected)


def test_equal_pictures_have_no_finite_psnr_between_legs(tmp_path: Path) -> None:
    leg = read_leg(write_leg("gpu", tmp_path / "gpu", seeds=[0]))
    numbers = judge(leg, [LegRuns("npu", leg.runs)], DEFAULT).axes[IMAGES].numbers["npu"]
    assert numbers["A2B2A_psnr_db"] is None and numbers["A2B2A_ssim"] == pytest.approx(1.0)


def test_a_reference_that_draws_flat_pictures_leaves_images_inconclusive(tmp_path: Path) -> None:
    def flatten(run: RunFolder) -> None:
        for image in ("val-001", "val-002"):
            Image.new("RGB", (64, 64), "grey").save(sample_path(run.samples_of(60), image, "A2B"))

    reference = read_leg(change_each(write_leg("gpu", tmp_path / "reference"), flatten))
    candidate = read_leg(write_leg("npu", tmp_path / "candidate", noise=2))
    comparison = judge(reference, [candidate], DEFAULT)
    assert (comparison.axes[IMAGES].verdict, comparison.verdict) == (INCONCLUSIVE, INCONCLUSIVE)


@pytest.mark.parametrize(
    ("seconds", "level", "verdict"),
    [(0.08, "PERFECT", PASS), (0.1, "OK", PASS), (0.19, "POK", PASS), (0.21, "NOK", FAIL)],
)
def test_speed_gets_the_class_that_modelzoo_gives_it(
    judged: Judged, seconds: float, level: str, verdict: Verdict
) -> None:
    axis = judged(seeds=[0], sec_per_step=seconds).axes[PERFORMANCE]
    assert (axis.numbers["npu"]["modelzoo_class"], axis.verdict) == (level, verdict)
    assert number(axis, "speed_ratio") == pytest.approx(0.1 / seconds)


def test_a_speed_that_is_not_sure_to_be_above_the_bound_is_inconclusive(of_seeds: Judged) -> None:
    axis = of_seeds([{"sec_per_step": seconds} for seconds in (0.12, 0.195, 0.4)]).axes[PERFORMANCE]
    assert axis.verdict is INCONCLUSIVE
    assert number(axis, "speed_ratio_low") < 0.5 < number(axis, "speed_ratio_high")
    assert axis.numbers["npu"]["modelzoo_class"] == "not decided"
    assert (
        "class not decided, NOK to POK; the seeds scatter too much; more than 100 further seeds would be needed"
        in axis.reason
    )


def test_a_busy_machine_is_named_beside_its_speed(of_seeds: Judged) -> None:
    machine = {"load_average": 13.0, "cores": 2, "cpu_mhz": 2450.0}
    axis = of_seeds([{"summary": {"machine": machine}}]).axes[PERFORMANCE]
    assert "machines were busy, so seconds are noisy: npu's (load 13.0 on 2 cores)" in axis.reason
    assert number(axis, "load_average_candidate") == 13.0 and number(axis, "cpu_mhz_candidate") == 2450.0


def test_seeds_on_devices_of_different_products_leave_speed_inconclusive(of_seeds: Judged) -> None:
    comparison = of_seeds([{"device_name": name} for name in ("Example CPU", "Example CPU", "Other CPU")])
    axis = comparison.axes[PERFORMANCE]
    assert axis.verdict is INCONCLUSIVE
    assert "npu's seeds ran on different devices (Example CPU and Other CPU)" in axis.reason
    assert "npu (seed 2) ran as TensorFlow 2.21.0 on a CPU (Other CPU)" in comparison.notes[-1]
    assert comparison.axes[TRAINING].verdict is PASS


@pytest.mark.parametrize(
    ("summary", "why"),
    [
        (None, "no summary.json"),
        ({"status": "failed", "reason": "out of memory"}, "failed (out of memory)"),
        ({"status": "interrupted"}, "interrupted"),
    ],
)
def test_a_seed_that_did_not_finish_is_named_and_nothing_else_is_measured(
    of_seeds: Judged, summary: dict[str, str] | None, why: str
) -> None:
    comparison = of_seeds([{}, {"summary": summary}])
    assert comparison.axes[FUNCTION].verdict is FAIL
    for name in MEASURED_HERE:
        assert "npu (seed 1) did not finish" in comparison.axes[name].reason and why in comparison.axes[name].reason
        assert name is FUNCTION or comparison.axes[name].verdict is NOT_MEASURED


def test_an_option_that_differs_between_the_seeds_of_one_leg_fails_function(of_seeds: Judged) -> None:
    comparison = of_seeds([{"options": {"lr": lr}} for lr in (5e-5, 1e-4)])
    assert "option lr is 5e-05 in gpu and 5e-05, 0.0001 in npu" in comparison.axes[FUNCTION].reason


def test_the_worst_of_several_candidates_decides(tmp_path: Path) -> None:
    legs = [write_leg(name, tmp_path / name, loss_factor=factor) for name, factor in (("a", 1), ("b", 1), ("c", 1.4))]
    comparison = judge(read_leg(legs[0]), list(map(read_leg, legs[1:])), DEFAULT)
    assert comparison.candidates == ("b", "c")
    assert comparison.axes[TRAINING].verdict is FAIL
    assert all(set(axis.numbers) == {"b", "c"} for axis in comparison.axes.values())
    assert {"b/training/min_loss_ratio", "c/training/min_loss_ratio"} < set(comparison.numbers())


def test_the_reference_need_not_be_the_first_leg(tmp_path: Path) -> None:
    fast, slow = (write_leg(str(ms), tmp_path / str(ms), seeds=[0], sec_per_step=ms / 1000) for ms in (100, 300))
    comparison = compare([fast, slow], "300", tmp_path / "output")
    assert comparison.axes[PERFORMANCE].numbers["100"]["modelzoo_class"] == "PERFECT"


def test_bounds_that_are_given_are_the_ones_in_force(compare_with: Judged, tmp_path: Path) -> None:
    candidate = write_leg("npu", tmp_path / "candidate", loss_factor=1.3)
    axis = compare_with(candidate, bounds=Bounds(max_loss_ratio=1.45)).axes[TRAINING]
    assert (axis.verdict, axis.bound["max_loss_ratio"]) == (PASS, 1.45)


def test_samples_of_another_folder_can_be_judged(tmp_path: Path) -> None:
    reference, blurred = write_run(tmp_path / "reference"), write_run(tmp_path / "blurred", blur=1.5)
    others = Source(reference, samples=RunFolder(blurred).samples_of(60))
    comparison = judge(read_leg(Leg("gpu", (Source(reference),))), [read_leg(Leg("npu", (others,)))], DEFAULT)
    assert comparison.axes[IMAGES].verdict is FAIL
