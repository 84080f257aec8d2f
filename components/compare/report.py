"""The report of a comparison: one HTML page that needs nothing else, and the tables of a ModelZoo README."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from components.compare.bounds import reasons
from components.compare.chart import loss_chart
from components.compare.comparison import Comparison
from components.compare.curves import curve
from components.compare.leg import LegRun
from components.compare.named_images import first_pictures, image_name
from components.compare.options import own_options, shared_options
from components.compare.picture_rows import SECTIONS, picture_rows, shown_images
from components.compare.verdict import Verdict
from components.look.page import environment
from dualgan.run_folder import SAMPLE_KINDS

TEMPLATES = Path(__file__).parent / "templates"

CHARTS = {
    "A_loss": "reconstruction of A, mean |A2B2A − real_A|",
    "B_loss": "reconstruction of B, mean |B2A2B − real_B|",
    "d_loss": "both critics",
    "g_loss": "both generators",
    "gradient_penalty": "how far the critics’ slopes are from 1",
}

SYMBOLS = {Verdict.PASS: "✓", Verdict.FAIL: "✕", Verdict.INCONCLUSIVE: "?", Verdict.NOT_MEASURED: "–"}

AXES = {
    "function": "Did both legs do the same job, to its end?",
    "precision": "Did training reach the same losses?",
    "images": "Are the pictures as good?",
    "performance": "Is it as fast?",
}


def render_html(comparison: Comparison, legs: Sequence[LegRun]) -> str:
    """The whole page; ``legs`` are the comparison's, the reference first."""
    return _render(
        "report.html.j2",
        comparison,
        legs,
        charts=_charts(legs),
        speeds=_speeds(legs),
        picture_sections=[(section, picture_rows(section, legs)) for section in SECTIONS],
        shown=shown_images(legs),
        environments=_environments(legs),
        shared=shared_options(legs),
        own=own_options(legs),
        reasons=reasons(comparison.bounds),
        bounds=comparison.bounds.values(),
    )


def render_markdown(comparison: Comparison, legs: Sequence[LegRun]) -> str:
    """Verdict, tables and pictures as a ModelZoo README shows them; the pictures lie beside the file."""
    pictures = {leg.name: {kind: image_name(leg.name, kind) for kind in first_pictures(leg)} for leg in legs}
    return _render("report.md.j2", comparison, legs, pictures=pictures)


def _render(template: str, comparison: Comparison, legs: Sequence[LegRun], **more: Any) -> str:
    page = environment(TEMPLATES).get_template(template)
    return page.render(
        comparison=comparison,
        legs=legs,
        dataset=legs[0].options.dataset,
        symbols=SYMBOLS,
        questions=AXES,
        kinds=SAMPLE_KINDS,
        ended=_ended,
        **more,
    )


def _charts(legs: Sequence[LegRun]) -> list[tuple[str, str, str]]:
    """(metric, caption, SVG) of each loss that a leg logged."""
    charts = []
    for metric, caption in CHARTS.items():
        histories = {place: leg.history for place, leg in enumerate(legs) if metric in leg.history.losses}
        curves = {place: curve(history.steps, history.losses[metric]) for place, history in histories.items()}
        if curves:
            charts.append((metric, caption, loss_chart(metric, curves)))
    return charts


def _speeds(legs: Sequence[LegRun]) -> list[dict[str, Any]]:
    """Median and p95 seconds a step of each leg, with the width of its bars in percent of the widest."""
    measured = [(leg.name, leg.summary.sec_per_step, leg.summary.sec_per_step_p95) for leg in legs if leg.summary]
    widest = max((value for _, *values in measured for value in values if value), default=None)
    if widest is None:
        return []
    return [
        {
            "leg": name,
            "median": median,
            "p95": p95,
            "median_width": 100 * (median or 0) / widest,
            "p95_width": 100 * (p95 or 0) / widest,
        }
        for name, median, p95 in measured
    ]


def _environments(legs: Sequence[LegRun]) -> dict[str, list[str]]:
    """Every line of the environments, by its name: one value a leg, "–" where a leg has none."""
    columns = [_environment(leg) for leg in legs]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name, "–") for column in columns] for name in names}


def _environment(leg: LegRun) -> dict[str, str]:
    recorded = leg.options.environment.model_dump()
    device, variables = recorded.pop("device"), recorded.pop("variables")
    lines = {f"device {name}": value for name, value in device.items()} | recorded | dict(sorted(variables.items()))
    return {name: str(value) for name, value in lines.items() if value is not None}


def _ended(leg: LegRun) -> str:
    if leg.history.ended is None:
        return "–"
    return datetime.fromtimestamp(leg.history.ended, UTC).strftime("%Y-%m-%d %H:%M UTC")
