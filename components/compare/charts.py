"""Charts as SVG that stands inside the page, in the page's own colours."""

import io
import re
from collections.abc import Mapping

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from components.compare.curves import Curve

# Matplotlib writes fixed colours; these stand for the page's variables: charts follow light and dark.
INK, GRID = "#010101", "#020202"
LEG_COLOURS = ("#030301", "#030302", "#030303", "#030304")
VARIABLES = {INK: "var(--soft)", GRID: "var(--grid)"} | {
    colour: f"var(--leg-{number})" for number, colour in enumerate(LEG_COLOURS, 1)
}
DASHES: tuple[tuple[float, tuple[float, ...]], ...] = (
    (0, ()),
    (0, (5, 1.6)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1, 1.5)),
)
OUTLIERS = 1.0


def loss_chart(metric: str, curves: Mapping[int, Curve]) -> str:
    """An ``<svg>`` of one loss; ``curves`` by the leg's place in the report, which gives colour and dashes.

    The vertical axis leaves out the lowest and the highest OUTLIERS percent of single steps.
    """
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": metric, "path.simplify": False, "font.size": 9.5}):
        figure = Figure(figsize=(6.0, 2.9), layout="constrained")
        axes = figure.add_subplot()
        for place, curve in curves.items():
            colour, dashes = LEG_COLOURS[place % len(LEG_COLOURS)], DASHES[place % len(DASHES)]
            if curve.raw is not None:
                axes.plot(*curve.raw, color=colour, linewidth=0.7, alpha=0.28)
            if curve.band is not None:
                axes.fill_between(*curve.band, color=colour, alpha=0.2, linewidth=0)
            axes.plot(*curve.smooth, color=colour, linewidth=1.7, linestyle=dashes)
        _limit(axes, curves)
        _dress(axes)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg")
    return _for_page(buffer.getvalue(), f"{metric} over training steps")


def _limit(axes: Axes, curves: Mapping[int, Curve]) -> None:
    drawn = [line for curve in curves.values() for line in (curve.raw, curve.band, curve.smooth) if line is not None]
    values = np.concatenate([line[1:].ravel() for line in drawn])
    values = values[np.isfinite(values)]
    if values.size == 0:
        return
    low, high = np.percentile(values, [OUTLIERS, 100 - OUTLIERS])
    margin = 0.06 * (high - low) or 0.05 * abs(high) or 1.0
    axes.set_ylim(float(low - margin), float(high + margin))


def _dress(axes: Axes) -> None:
    axes.set_xlabel("step", color=INK)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(colors=INK, length=0, pad=5)
    axes.yaxis.offsetText.set_color(INK)
    axes.patch.set_visible(False)
    axes.figure.patch.set_visible(False)
    for side, spine in axes.spines.items():
        spine.set_visible(side == "bottom")
        spine.set_color(GRID)
    axes.margins(x=0.01)


def _for_page(svg: str, description: str) -> str:
    """Only the drawing: no prologue, metadata or name space, no identifier that two charts would share."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', "", svg)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(r' (width|height)="[\d.]+pt"', "", svg, count=2)
    svg = re.sub(r' d="[^"]*"', lambda path: re.sub(r"(\.\d)\d+", r"\1", path[0]), svg)
    svg = re.sub(r"font: [\d.]+px [^;\"]*", "font: 9.5px sans-serif", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    return svg.replace("<svg", f'<svg role="img" aria-label="{description}"', 1)
