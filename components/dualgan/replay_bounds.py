"""The bounds of steps that are done again, and the check of errors against them. Needs no TensorFlow."""

import statistics
from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple

from dualgan.run_folder import RECONSTRUCTION_METRICS


class ReplayBounds(NamedTuple):
    """Bounds of one step from equal weights, and of steps one after the other.

    layer: relative errors of layers, and of pictures that are drawn; file: of the levels of picture files, as a share
    of half their range; term: relative errors of losses; gradient: of gradients and updates, of each variable of
    weights; small_gradient: of each bias, scale and center; median: over all variables of two networks; update_size: a
    factor between the sizes of a network's updates. late_...: the same in a step from a drawn state, where single
    variables decide nothing. free_term: relative errors of the reconstruction losses of steps one after the other;
    free_update: a factor between the sizes of their updates.
    """

    layer: float
    file: float
    term: float
    gradient: float
    small_gradient: float
    median: float
    update_size: float
    late_layer: float
    late_term: float
    late_median: float
    late_update_size: float
    free_term: float
    free_update: float


# What was measured between TensorFlow 1.15.0 and 2.21.0 on CPUs, and between either and the original (golden files;
# traces at 64 px with 8 filters and at 256 px with 64):
#   layer 2e-5, one layer with factors in float16 3e-4; file 2e-4; term 7e-6; gradient 4e-2, where a rectifier or an L1
#   difference that is next to zero falls on its other side, which some always do in large networks; median 9e-3;
#   update_size 1.0007, another learning rate or decay shows at once.
#   From a drawn state much more is next to zero: pictures 2e-5, losses 3e-4, medians 3e-2, sizes of updates 1.004.
#   free_term 3e-3, for a GAN amplifies rounding; free_update 6, one that is lost or should not be any.
FLOAT32 = ReplayBounds(
    layer=1e-4, file=4e-3, term=3e-4, gradient=0.15, small_gradient=0.15, median=4e-2, update_size=1.008,
    late_layer=1e-3, late_term=3e-3, late_median=0.3, late_update_size=1.03,
    free_term=5e-2, free_update=100.0,
)  # fmt: skip

# If the device rounds the factors of every product to float16 or TensorFloat-32, as an Ascend 910 does in its highest
# precision. So emulated on a CPU: layers 6e-3, losses 8e-3 and from drawn states 5e-2, gradients of weights 0.45, those
# of a bias of two elements, a sum that cancels, 1.5; medians 0.14 and 0.27, sizes of updates 1.011 (classic 1.11).
FLOAT16_PRODUCTS = FLOAT32._replace(
    layer=2e-2, file=2e-2, term=3e-2, gradient=0.8, small_gradient=3.0, median=0.35, update_size=1.15,
    late_layer=5e-2, late_term=0.2, late_median=0.6, late_update_size=1.15,
)  # fmt: skip

# The second update of a classic GAN's generators divides by averages that the first one made, which turns errors of
# gradients that are next to zero into errors of whole updates.
CLASSIC_ROOM = 5

# Layers of the critics as the generators' loss sees them, after the critics' update, are called so.
UPDATED = "updated/"
# They follow from that update: up to 2e-4 off between the two TensorFlows; critics that were not updated, by 1e-2.
UPDATED_ROOM = 20
CRITICS, GENERATORS = ("A_d", "B_d"), ("A_g", "B_g")
WEIGHTS = ("/w", "/Matrix")

# The other losses of steps one after the other tell of chaos, not of the leg.
STEADY_TERMS = RECONSTRUCTION_METRICS
FILES = "file/"
INFINITE = float("inf")
# The kind of a check, its name, its error and its bound.
Unplaced = Tuple[str, str, float, float]


class Check(NamedTuple):
    """An error and its bound.

    what: "picture", "forward", "gradient", "update", "median gradient", "median update", "update size", "term",
    "free-running term" or "free-running update"; name: the picture, layer, variable, networks or loss; drawn: whether
    the step is from a drawn state.
    """

    what: str
    name: str
    step: int
    error: float
    bound: float
    drawn: bool = False

    @property
    def holds(self) -> bool:
        """Whether the error is within the bound; a NaN is not."""
        return self.error <= self.bound

    @property
    def distance(self) -> float:
        """How near the error is to the bound: 0 if there is none, 1 at the bound. Factors are from 1 up."""
        least = 1.0 if self.what in ("update size", "free-running update") else 0.0
        return (self.error - least) / (self.bound - least)


def rounds_products(content: Dict[str, Any]) -> bool:
    """Whether the device that did the steps again says of itself that it rounds the factors of products."""
    return bool(content["candidate"]["device"].get("products", "float32") != "float32")


def default_bounds(content: Dict[str, Any]) -> ReplayBounds:
    return FLOAT16_PRODUCTS if rounds_products(content) else FLOAT32


def checks(content: Dict[str, Any], bounds: ReplayBounds) -> Iterator[Check]:
    """Yield all that is measured in the content of a replay.json, causes before what follows from them."""
    late = {name[len("late_") :]: bound for name, bound in bounds._asdict().items() if name.startswith("late_")}
    of_drawn = bounds._replace(gradient=INFINITE, small_gradient=INFINITE, **late)
    classic = content["options"].get("GAN_type") == "classic"
    for probe in content["probes"]:
        for what, name, error, bound in _probe_checks(probe, of_drawn if probe["drawn"] else bounds, classic):
            yield Check(what, name, probe["step"], error, bound, probe["drawn"])
    free = content.get("free_run", {})
    for index in range(content["steps"] if free else 0):
        step = content["first_step"] + index
        for name in STEADY_TERMS:
            yield Check("free-running term", name, step, free["terms"][name][index], bounds.free_term)
        for name, factors in free["update_sizes"].items():
            yield Check("free-running update", name, step, factors[index], bounds.free_update)


def _probe_checks(probe: Dict[str, Any], bounds: ReplayBounds, classic: bool) -> Iterator[Unplaced]:
    layers, gradients, updates, pictures = (
        [(item["name"], max(item["relative_l2"], item["norm"])) for item in probe[kind]]
        for kind in ("layers", "gradients", "updates", "pictures")
    )
    for name, error in layers:
        if not name.startswith(UPDATED):
            yield "forward", name, error, bounds.layer
    for name, error in pictures:
        yield "picture", name, error, bounds.file if name.startswith(FILES) else bounds.layer
    for networks in (CRITICS, GENERATORS):
        # The critics' update comes first, and the generators' gradients follow from it.
        if networks == GENERATORS:
            for name, error in layers:
                if name.startswith(UPDATED):
                    yield "forward", name, error, UPDATED_ROOM * bounds.layer
        twice = CLASSIC_ROOM if classic and networks == GENERATORS else 1
        yield from _tensor_checks("gradient", networks, gradients, bounds)
        for name in networks:
            yield "update size", name, probe["update_sizes"][name], 1 + twice * (bounds.update_size - 1)
        if twice > 1:
            median = min(0.9, twice * bounds.median)
            bounds = bounds._replace(median=median, gradient=INFINITE, small_gradient=INFINITE)
        yield from _tensor_checks("update", networks, updates, bounds)
    for name, error in probe["terms"].items():
        yield "term", name, error, bounds.term


def _tensor_checks(
    what: str, networks: Tuple[str, str], errors: Iterable[Tuple[str, float]], bounds: ReplayBounds
) -> Iterator[Unplaced]:
    own = [error for error in errors if error[0].startswith(networks)]
    for name, error in own:
        bound = bounds.gradient if name.endswith(WEIGHTS) else bounds.small_gradient
        if bound < INFINITE:
            yield what, name, error, bound
    yield "median " + what, " and ".join(networks), statistics.median([error for _, error in own]), bounds.median


def worst_checks(found: Iterable[Check]) -> List[Check]:
    """Of each kind and state the check that is nearest to its bound, or farthest out of it."""
    worst: Dict[Tuple[str, bool], Check] = {}
    for check in found:
        known = worst.get((check.what, check.drawn))
        if known is None or not check.distance <= known.distance:
            worst[check.what, check.drawn] = check
    return list(worst.values())
