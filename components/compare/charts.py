"""Charts of losses over training steps: SVG that stands inside the page, in the page's own colours.

Losses are thinned, so that a chart of 100,000 steps is as small as one of 400.
"""

import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from components.compare.leg import Floats

MAX_POINTS = 400
SMOOTHING = 40
# A loss that large is as good as infinite, and no axis could show it.
TOO_LARGE = 1e100
# Percent of single steps that lie outside of the vertical axis, at either end.
OUTLIERS = 1.0
# Matplotlib writes fixed colours; these stand for the page's variables: charts follow light and dark.
INK, GRID = "#010101", "#020202"
LEG_COLOURS = ("#030301", "#030302", "#030303", "#030304")
LINES = ("-", "--", ":", "-.")
TICKS = {"color": INK, "major.size": 0, "major.pad": 5}
STYLE: Any = {
    **{"svg.fonttype": "none", "path.simplify": False, "font.size": 9.5},
    **{"axes.facecolor": "none", "figure.facecolor": "none", "axes.edgecolor": GRID, "axes.xmargin": 0.01},
    **{f"axes.spines.{side}": False for side in ("left", "right", "top")},
    **{"axes.grid": True, "axes.grid.axis": "y", "axes.axisbelow": True, "grid.color": GRID, "axes.labelcolor": INK},
    **{f"{axis}tick.{name}": value for axis in "xy" for name, value in TICKS.items()},
}
# Of Matplotlib's SVG only the drawing: no metadata or name space, no identifier that two charts would share,
# no size.
CLEANED = (
    (r"(?s)\A.*?(?=<svg)", ""),
    (r"(?s)<metadata>.*?</metadata>", ""),
    (r' xmlns(:\w+)?="[^"]*"', ""),
    (r'<g id="[^"]*"', "<g"),
    (r"font: [\d.]+px [^;\"]*", "font: 9.5px sans-serif"),
    (r' (width|height)="[\d.]+pt"', ""),
    (INK, "var(--soft)"),
    (GRID, "var(--grid)"),
    *((colour, f"var(--leg-{number})") for number, colour in enumerate(LEG_COLOURS, 1)),
)


@dataclass(frozen=True)
class Curve:
    """A loss over training steps; a step whose loss is not finite leaves a gap in every line.

    Attributes:
        smooth: Running mean, [2, points]; of several runs, their mean.
        raw: Of one run, the lowest and highest step of each stretch, [2, points].
        band: Of several, the lowest and highest of their running means, [3, points]: step, low, high.
    """

    smooth: Floats
    raw: Floats | None = None
    band: Floats | None = None


def curve_of_runs(runs: Sequence[tuple[NDArray[np.int64], Floats]]) -> Curve:
    """Return the curve of a loss over one run or more, (steps, values) of each, at the steps that all runs have."""
    length = min(len(steps) for steps, _ in runs)
    x = runs[0][0][:length].astype(np.float64)
    values = [np.where(np.abs(of_run[:length]) < TOO_LARGE, of_run[:length], np.nan) for _, of_run in runs]
    kept = np.unique(np.linspace(0, length - 1, min(length, MAX_POINTS)).round().astype(int))
    means = np.stack([running_mean(of_run, max(1, length // SMOOTHING))[kept] for of_run in values])
    smooth = np.stack([x[kept], means.mean(axis=0)])
    if len(runs) > 1:
        return Curve(smooth, band=np.stack([x[kept], means.min(axis=0), means.max(axis=0)]))
    extremes = _extremes(values[0])
    return Curve(smooth, raw=np.stack([x[extremes], values[0][extremes]]))


def running_mean(values: Floats, window: int) -> Floats:
    """Return the mean over ``window`` values around each one, fewer at the ends; NaN if one of them is NaN."""
    half = window // 2
    places = np.arange(len(values))
    first, after = np.maximum(places - half, 0), np.minimum(places + half + 1, len(values))
    gaps = np.concatenate([[0], np.cumsum(np.isnan(values))])
    sums = np.concatenate([[0.0], np.cumsum(np.nan_to_num(values))])
    means: Floats = (sums[after] - sums[first]) / (after - first)
    means[gaps[after] > gaps[first]] = np.nan
    return means


def _extremes(values: Floats) -> NDArray[np.intp]:
    """Return the places of the lowest and highest value of each of MAX_POINTS / 2 stretches, in order."""
    if len(values) <= MAX_POINTS:
        return np.arange(len(values))
    stretches = np.array_split(np.arange(len(values)), MAX_POINTS // 2)
    # Of a stretch with a NaN both are the first NaN.
    return np.unique([part[end(values[part])] for part in stretches for end in (np.argmin, np.argmax)])


def loss_chart(metric: str, curves: Mapping[int, Curve]) -> str:
    """Return an ``<svg>`` of one loss; ``curves`` by the leg's place in the report, which gives colour and dashes."""
    with mpl.rc_context({**STYLE, "svg.hashsalt": metric}):
        figure = Figure(figsize=(6.0, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for place, curve in curves.items():
            colour = LEG_COLOURS[place % len(LEG_COLOURS)]
            if curve.raw is not None:
                axes.plot(*curve.raw, color=colour, linewidth=0.7, alpha=0.28)
            if curve.band is not None:
                axes.fill_between(*curve.band, color=colour, alpha=0.2, linewidth=0)
            axes.plot(*curve.smooth, color=colour, linewidth=1.7, linestyle=LINES[place % len(LINES)])
        lines = [line for curve in curves.values() for line in (curve.raw, curve.band, curve.smooth)]
        values = np.concatenate([line[1:].ravel() for line in lines if line is not None])
        if np.isfinite(values).any():
            low, high = np.percentile(values[np.isfinite(values)], [OUTLIERS, 100 - OUTLIERS])
            margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
            axes.set_ylim(float(low - margin), float(high + margin))
        axes.set_xlabel("step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    svg = buffer.getvalue()
    for pattern, replacement in CLEANED:
        svg = re.sub(pattern, replacement, svg)
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{metric} over training steps"', 1)
