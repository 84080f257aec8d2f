"""How far a replay may be from its trace, and where it is farther. Needs no TensorFlow."""

from typing import Any, Dict, Iterable, Iterator, List, NamedTuple, Tuple


class ReplayBounds(NamedTuple):
    """layer, gradient, update, term: relative errors from equal weights; update_size: a factor between the sizes of a

    network's updates from equal weights. Of steps one after the other, free_term is the relative error of the
    reconstruction losses, free_update a factor between the sizes of updates.
    """

    layer: float
    gradient: float
    update: float
    update_size: float
    term: float
    free_term: float
    free_update: float


# TensorFlow 1.15.0 and 2.21.0 on a CPU differ by 2e-5 (layers), 1e-4 (gradients), 8e-4 (updates) and 6e-6 (losses) at
# 64 px with 8 filters; at 256 px with 64, where some rectifiers near zero always fall on the other side, by 1e-5, 8e-3,
# 1.4e-2 and 5e-6. One layer whose factors are rounded to float16 is 3e-4 off.
FLOAT32 = ReplayBounds(
    layer=1e-4, gradient=0.1, update=0.1, update_size=1.05, term=1e-3, free_term=5e-2, free_update=100.0
)

# Where the device rounds the factors of every product to float16 or TensorFloat-32, as an Ascend 910 does in its
# highest precision. So emulated on a CPU, layers differ by 6e-3, gradients by 0.16, sizes of updates by 1%, losses by
# 5e-3.
FLOAT16_PRODUCTS = FLOAT32._replace(layer=2e-2, gradient=0.5, update=0.5, update_size=1.15, term=3e-2)

# Layers of the critics as the generators' loss sees them, after the critics' update, are called so.
UPDATED = "updated/"
# They follow from that update: up to 2e-4 off between the two TensorFlows; critics that were not updated, by 1e-2.
UPDATED_ROOM = 20
CRITICS = ("A_d", "B_d")

Error = Tuple[str, float]

# The other losses of steps one after the other tell of chaos, not of the leg.
STEADY_TERMS = ("A_loss", "B_loss")


class Departure(NamedTuple):
    """Something out of its bound. what: "forward", "gradient", "update", "update size", "term", "free-running term" or

    "free-running update"; name: the layer, variable, network or loss.
    """

    what: str
    name: str
    step: int
    error: float
    bound: float


def rounds_products(replay: Dict[str, Any]) -> bool:
    """Whether the replaying device says of itself that it rounds the factors of products."""
    return bool(replay["candidate"]["device"].get("products", "float32") != "float32")


def default_bounds(replay: Dict[str, Any]) -> ReplayBounds:
    return FLOAT16_PRODUCTS if rounds_products(replay) else FLOAT32


def departures(replay: Dict[str, Any], bounds: ReplayBounds) -> List[Departure]:
    """All that is out of bounds in the content of a replay.json, causes before what follows from it."""
    found: List[Departure] = []
    for probe in replay["probes"]:
        step = probe["step"]
        layers, gradients, updates = (
            [(item["name"], item["relative_l2"]) for item in probe[kind]] for kind in ("layers", "gradients", "updates")
        )
        sizes = list(probe["update_sizes"].items())
        updated, before = _divided(layers, (UPDATED,))
        found += _outside("forward", step, before, bounds.layer)
        for part in (0, 1):
            # The critics' update comes first, and the generators' gradients follow from it.
            if part:
                found += _outside("forward", step, updated, UPDATED_ROOM * bounds.layer)
            found += _outside("gradient", step, _divided(gradients, CRITICS)[part], bounds.gradient)
            found += _outside("update size", step, _divided(sizes, CRITICS)[part], bounds.update_size)
            found += _outside("update", step, _divided(updates, CRITICS)[part], bounds.update)
        found += _outside("term", step, probe["terms"].items(), bounds.term)
    free = replay["free_run"]
    for index in range(replay["steps"]):
        step = replay["first_step"] + index
        terms = [(name, free["terms"][name][index]) for name in STEADY_TERMS]
        found += _outside("free-running term", step, terms, bounds.free_term)
        updates = [(name, factors[index]) for name, factors in free["update_sizes"].items()]
        found += _outside("free-running update", step, updates, bounds.free_update)
    return found


def _divided(errors: List[Error], prefixes: Tuple[str, ...]) -> Tuple[List[Error], List[Error]]:
    """Those whose names begin with one of ``prefixes``, and the others."""
    first = [error for error in errors if error[0].startswith(prefixes)]
    return first, [error for error in errors if not error[0].startswith(prefixes)]


def _outside(what: str, step: int, errors: Iterable[Error], bound: float) -> Iterator[Departure]:
    for name, error in errors:
        # A NaN is no number within the bound.
        if not error <= bound:
            yield Departure(what, name, step, error, bound)
