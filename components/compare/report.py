"""The report of a comparison: one HTML page that needs nothing else, and the tables of a ModelZoo README."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from components.common.html import environment
from components.compare.axes.performance import sec_per_step
from components.compare.bounds import reasons
from components.compare.charts import loss_chart
from components.compare.curves import curve_of_runs
from components.compare.leg import LegRun, LegRuns
from components.compare.named_images import first_pictures, image_name
from components.compare.options import own_options, shared_options
from components.compare.picture_rows import SECTIONS, picture_rows, shown_images
from components.compare.result import Comparison
from components.compare.tables import number_rows, recorded_cell, summary_cell
from components.compare.verdict import AxisName, Verdict
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
    AxisName.FUNCTION: "Did all legs do the same job, to its end?",
    AxisName.ARITHMETIC: "Does one step compute the same?",
    AxisName.TRAINING: "Did training reach the same losses?",
    AxisName.IMAGES: "Are the pictures as good?",
    AxisName.PERFORMANCE: "Is it as fast?",
}

# The two languages of ModelZoo's READMEs, by the file that each goes into.
MARKDOWN = {"report.md": "en", "report.zh.md": "zh"}
CHINESE_AXES = {
    AxisName.FUNCTION: "功能",
    AxisName.ARITHMETIC: "算术",
    AxisName.TRAINING: "精度",
    AxisName.IMAGES: "图像",
    AxisName.PERFORMANCE: "性能",
}
CHINESE_VERDICTS = {
    Verdict.PASS: "通过",
    Verdict.FAIL: "不通过",
    Verdict.INCONCLUSIVE: "无法判定",
    Verdict.NOT_MEASURED: "未测量",
}


def render_html(comparison: Comparison, legs: Sequence[LegRuns]) -> str:
    """The whole page; ``legs`` are the comparison's, the reference first where it is a leg."""
    with_reference = comparison.recorded is None
    return _render(
        "report.html.j2",
        comparison,
        legs,
        charts=_charts(legs),
        speeds=_speeds(legs),
        rows=number_rows(legs),
        picture_sections=[(section, picture_rows(section, legs, with_reference)) for section in SECTIONS],
        shown=shown_images(legs),
        environments=_environments(legs),
        shared=shared_options(legs),
        own=own_options(legs),
        reasons=reasons(comparison.bounds),
        bounds=comparison.bounds.values(),
        symbols=SYMBOLS,
        questions=AXES,
        ended=_ended,
    )


def render_markdown(comparison: Comparison, legs: Sequence[LegRuns], language: str) -> str:
    """Verdict, tables and pictures as a ModelZoo README shows them; the pictures lie beside the file.

    ``language``: "en" or "zh"; reasons and notes are English in both.
    """
    pictures = {leg.name: {kind: image_name(leg.name, kind) for kind in first_pictures(leg.first)} for leg in legs}
    recorded = comparison.recorded
    first = [recorded_cell(recorded.values, name) for name in ("min_loss", "sec_per_step")] if recorded else []
    losses = [summary_cell(leg, lambda summary: summary.min_loss) for leg in legs]
    speeds = [summary_cell(leg, lambda summary: summary.sec_per_step) for leg in legs]
    return _render(
        f"report.{language}.md.j2",
        comparison,
        legs,
        pictures=pictures,
        kinds=SAMPLE_KINDS,
        heads=[comparison.reference] * bool(recorded) + [leg.name for leg in legs],
        losses=first[:1] + losses,
        speeds=first[1:] + speeds,
        axis_names=CHINESE_AXES,
        verdicts=CHINESE_VERDICTS,
    )


def _render(template: str, comparison: Comparison, legs: Sequence[LegRuns], **more: Any) -> str:
    page = environment(TEMPLATES).get_template(template)
    return page.render(comparison=comparison, legs=legs, dataset=legs[0].first.options.dataset, **more)


def _charts(legs: Sequence[LegRuns]) -> list[tuple[str, str, str]]:
    """(metric, caption, SVG) of each loss that a leg logged in all its runs."""
    charts = []
    for metric, caption in CHARTS.items():
        curves = {
            place: curve_of_runs([(run.history.steps, run.history.losses[metric]) for run in leg.runs])
            for place, leg in enumerate(legs)
            if all(metric in run.history.losses for run in leg.runs)
        }
        if curves:
            charts.append((metric, caption, loss_chart(metric, curves)))
    return charts


def _speeds(legs: Sequence[LegRuns]) -> list[dict[str, Any]]:
    """Median and p95 seconds a step of each leg, with the width of its bars in percent of the widest."""
    measured = [(leg.name, sec_per_step(leg), _p95(leg)) for leg in legs]
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


def _p95(leg: LegRuns) -> float | None:
    known = [run.summary.sec_per_step_p95 for run in leg.runs if run.summary and run.summary.sec_per_step_p95]
    return float(np.median(known)) if known else None


def _environments(legs: Sequence[LegRuns]) -> Mapping[str, list[str]]:
    """Every line of the environments of the legs' first runs, by its name; "–" where a leg has none."""
    columns = [_environment(leg.first) for leg in legs]
    names = dict.fromkeys(name for column in columns for name in column)
    return {name: [column.get(name, "–") for column in columns] for name in names}


def _environment(run: LegRun) -> dict[str, str]:
    recorded = run.options.environment.model_dump()
    device, variables = recorded.pop("device"), recorded.pop("variables")
    lines = {f"device {name}": value for name, value in device.items()} | recorded | dict(sorted(variables.items()))
    return {name: str(value) for name, value in lines.items() if value is not None}


def _ended(leg: LegRuns) -> str:
    ends = [run.history.ended for run in leg.runs if run.history.ended is not None]
    return datetime.fromtimestamp(max(ends), UTC).strftime("%Y-%m-%d %H:%M UTC") if ends else "–"
