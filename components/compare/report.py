"""The report of a comparison: an HTML page that needs nothing else; tables and pictures of a ModelZoo README."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.common.html import environment, memory, number, picture_tag, read_picture
from components.compare.axes.performance import energy_joules
from components.compare.bounds import reasons
from components.compare.charts import curve_of_runs, loss_chart
from components.compare.leg import LegRun, LegRuns, own_options, shared_options
from components.compare.measure import final_window
from components.compare.records import Summary
from components.compare.result import Comparison
from components.compare.verdict import AxisName, Verdict
from dualgan.run_folder import SAMPLE_KINDS

TEMPLATES = Path(__file__).parent / "templates"
MAX_IMAGES = 8
# By how much differences of pictures are enlarged.
GAIN = 4
JPEG_QUALITY = 95

CHARTS = {
    "A_loss": "reconstruction of A, mean |A2B2A − real_A|",
    "B_loss": "reconstruction of B, mean |B2A2B − real_B|",
    "d_loss": "both critics",
    "g_loss": "both generators",
    "gradient_penalty": "how far the critics’ slopes are from 1",
}
SYMBOLS = {Verdict.PASS: "✓", Verdict.FAIL: "✕", Verdict.INCONCLUSIVE: "?", Verdict.NOT_MEASURED: "–"}
QUESTIONS = {
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

Figure = Callable[[Summary], float | int | None]


@dataclass(frozen=True)
class Section:
    """One kind of output, beside the input that it was drawn from."""

    title: str
    source: str
    kind: str


SECTIONS = (
    Section("A drawn as B", "real_A", "A2B"),
    Section("and back to A", "real_A", "A2B2A"),
    Section("B drawn as A", "real_B", "B2A"),
    Section("and back to B", "real_B", "B2A2B"),
)


@dataclass(frozen=True)
class Row:
    """A row of the table of numbers; of each leg a cell: "–" if not measured, "mean ± deviation" over several runs."""

    label: str
    note: str
    cells: tuple[str, ...]


def write_report(comparison: Comparison, legs: Sequence[LegRuns], folder: Path) -> None:
    """Write report.html, report.md, report.zh.md and each leg's first pictures.

    Args:
        comparison: What to report.
        legs: The comparison's, the reference first if it is a leg.
        folder: Where to, an existing folder.
    """
    for leg in legs:
        for kind, path in first_pictures(leg.first).items():
            read_picture(path).save(folder / image_name(leg.name, kind), "JPEG", quality=JPEG_QUALITY)
    (folder / "report.html").write_text(render_html(comparison, legs), encoding="utf-8")
    for name, language in MARKDOWN.items():
        (folder / name).write_text(render_markdown(comparison, legs, language), encoding="utf-8")


def render_html(comparison: Comparison, legs: Sequence[LegRuns]) -> str:
    """Return the whole page; ``legs`` as in write_report."""
    with_reference = comparison.recorded is None
    return _render(
        "report.html.j2",
        comparison,
        legs,
        charts=_charts(legs),
        speeds=_speeds(legs),
        rows=number_rows(legs),
        picture_sections=[(section, picture_rows(section, legs, with_reference)) for section in SECTIONS],
        shown=_shown_images(legs),
        environments=_environments(legs),
        shared=shared_options(legs),
        own=own_options(legs),
        reasons=reasons(comparison.bounds),
        bounds=comparison.bounds.values(),
        symbols=SYMBOLS,
        questions=QUESTIONS,
        ended=_ended,
    )


def render_markdown(comparison: Comparison, legs: Sequence[LegRuns], language: str) -> str:
    """Return verdict, tables and pictures as a ModelZoo README shows them; the pictures lie beside the file.

    Args:
        comparison: What to report.
        legs: As in write_report.
        language: "en" or "zh"; reasons and notes are English in both.
    """
    recorded = [comparison.recorded.values] if comparison.recorded else []
    return _render(
        f"report.{language}.md.j2",
        comparison,
        legs,
        pictures={leg.name: {kind: image_name(leg.name, kind) for kind in first_pictures(leg.first)} for leg in legs},
        kinds=SAMPLE_KINDS,
        heads=[comparison.reference] * len(recorded) + [leg.name for leg in legs],
        losses=[
            *(number(values.get("min_loss")) for values in recorded),
            *(_summary_cell(leg, lambda summary: summary.min_loss) for leg in legs),
        ],
        speeds=[
            *(number(values.get("sec_per_step")) for values in recorded),
            *(_summary_cell(leg, lambda summary: summary.sec_per_step) for leg in legs),
        ],
        axis_names=CHINESE_AXES,
        verdicts=CHINESE_VERDICTS,
    )


def _render(template: str, comparison: Comparison, legs: Sequence[LegRuns], **more: Any) -> str:
    page = environment(TEMPLATES).get_template(template)
    return page.render(comparison=comparison, legs=legs, dataset=legs[0].first.options.dataset, **more)


def _charts(legs: Sequence[LegRuns]) -> list[tuple[str, str, str]]:
    """Return (metric, caption, SVG) of each loss that a leg logged in all its runs."""
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
    """Return median and p95 seconds a step of each leg, with the width of its bars in percent of the widest."""
    speeds = [
        {
            "median": _median(leg, lambda summary: summary.sec_per_step),
            "p95": _median(leg, lambda summary: summary.sec_per_step_p95),
        }
        for leg in legs
    ]
    widest = max((value for speed in speeds for value in speed.values() if value), default=None)
    if widest is None:
        return []
    widths = [{f"{key}_width": 100 * (value or 0) / widest for key, value in speed.items()} for speed in speeds]
    return [{"leg": leg.name, **of_leg, **width} for leg, of_leg, width in zip(legs, speeds, widths, strict=True)]


def _median(leg: LegRuns, figure: Figure) -> float | None:
    known = [value for value in _figures(leg, figure) if value]
    return float(np.median(known)) if len(known) == len(leg.runs) else None


def number_rows(legs: Sequence[LegRuns]) -> list[Row]:
    """Return losses, speed, memory and time of each leg."""
    final = f"mean over the last {final_window(legs[0].first.history)} steps"
    figures: list[tuple[str, str, Figure]] = [
        ("min loss", "lowest A_loss of a single step: flatters", lambda summary: summary.min_loss),
        ("final A_loss", final, _final("A_loss")),
        ("final B_loss", final, _final("B_loss")),
        ("sec/step, median", "", lambda summary: summary.sec_per_step),
        ("sec/step, p95", "", lambda summary: summary.sec_per_step_p95),
        ("images/s", "", lambda summary: summary.images_per_sec),
        ("steps", "", lambda summary: summary.steps),
        ("epochs", "", lambda summary: summary.epochs),
    ]
    rows = [_row(legs, *figure) for figure in figures]
    rows.append(Row("peak memory", "", tuple(_peak_memory(leg) for leg in legs)))
    energies = tuple(_cell([energy_joules(run) for run in leg.runs]) for leg in legs)
    rows.append(Row("energy, J", "of the accelerators", energies))
    for part in ("total", "training", "waiting_for_data", "checkpointing", "sampling"):
        rows.append(_row(legs, f"seconds, {part.replace('_', ' ')}", "", _seconds(part)))
    return rows


def _row(legs: Sequence[LegRuns], label: str, note: str, figure: Figure) -> Row:
    return Row(label, note, tuple(_summary_cell(leg, figure) for leg in legs))


def _final(loss: str) -> Figure:
    return lambda summary: getattr(summary.final_loss, loss, None)


def _seconds(part: str) -> Figure:
    return lambda summary: (summary.time or {}).get(part)


def _figures(leg: LegRuns, figure: Figure) -> list[float | int | None]:
    return [figure(run.summary) if run.summary else None for run in leg.runs]


def _summary_cell(leg: LegRuns, figure: Figure) -> str:
    return _cell(_figures(leg, figure))


def _cell(values: Sequence[float | int | None]) -> str:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return number(None)
    if len(set(known)) == 1:
        return number(known[0])
    return f"{number(float(np.mean(known)))} ± {float(np.std(known, ddof=1)):.2g}"


def _peak_memory(leg: LegRuns) -> str:
    sizes = [run.summary.peak_memory_bytes for run in leg.runs if run.summary and run.summary.peak_memory_bytes]
    return memory(max(sizes, default=None))


def _shown_images(legs: Sequence[LegRuns]) -> list[str]:
    """Return the validation images that the report shows: the first MAX_IMAGES of any leg."""
    return sorted({image for leg in legs for image in leg.first.samples})[:MAX_IMAGES]


def picture_rows(
    section: Section, legs: Sequence[LegRuns], with_differences: bool
) -> list[tuple[str, list[str | None]]]:
    """Return the legs' pictures side by side, of each leg's first run, with what differs between them.

    Args:
        section: What to show.
        legs: As in write_report.
        with_differences: Whether the first leg is the reference.

    Returns:
        Of each image its name and tags: the input, each leg's output, each candidate minus the reference; None if
        missing.
    """
    rows = []
    for image in _shown_images(legs):
        outputs = [_read(leg.first, image, section.kind) for leg in legs]
        source = next(filter(None, (_read(leg.first, image, section.source) for leg in legs)), None)
        tags = [_tag(source, f"{image}: {section.source}")]
        for leg, output in zip(legs, outputs, strict=True):
            tags.append(_tag(output, f"{image}: {section.kind} of {leg.name}"))
        for leg, output in zip(legs[1:], outputs[1:], strict=True) if with_differences else ():
            description = f"{image}: {section.kind} of {leg.name} minus {legs[0].name}"
            tags.append(_tag(_difference(outputs[0], output), description))
        if any(tags):
            rows.append((image, tags))
    return rows


def _difference(reference: Image.Image | None, candidate: Image.Image | None) -> Image.Image | None:
    """Return candidate minus reference, GAIN times enlarged; the middle grey of 128 is no difference."""
    if reference is None or candidate is None or reference.size != candidate.size:
        return None
    signed = np.asarray(candidate, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return Image.fromarray(np.clip(128 + GAIN * signed, 0, 255).round().astype(np.uint8))


def _tag(picture: Image.Image | None, description: str) -> str | None:
    return picture_tag(picture, description) if picture else None


def _read(run: LegRun, image: str, kind: str) -> Image.Image | None:
    path = run.picture(image, kind)
    return read_picture(path) if path else None


def image_name(leg: str, kind: str) -> str:
    """Return the file name that a ModelZoo README has for a picture: gpu_realA.jpg, npu_A2B.jpg, ..."""
    return f"{leg}_{kind.replace('_', '')}.jpg"


def first_pictures(run: LegRun) -> dict[str, Path]:
    """Return, by kind, the picture of the first validation image that has this kind."""
    found: dict[str, Path] = {}
    for pictures in run.samples.values():
        found = {**pictures, **found}
    return {kind: found[kind] for kind in SAMPLE_KINDS if kind in found}


def _environments(legs: Sequence[LegRuns]) -> Mapping[str, list[str]]:
    """Return every line of the environments of the legs' first runs, by its name; "–" if a leg has none."""
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
