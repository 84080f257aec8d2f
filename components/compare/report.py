"""The report of a comparison: an HTML page that needs nothing else; tables and pictures of a ModelZoo README."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from components.common.html import environment, markdown_environment, memory, number, picture_tag
from components.compare.axes.performance import energy_joules
from components.compare.bounds import reasons
from components.compare.charts import curve_of_runs, loss_chart
from components.compare.leg import LegRun, LegRuns, own_options, shared_options
from components.compare.measure import final_window
from components.compare.result import Comparison
from components.compare.verdict import AxisName, Verdict
from dualgan.pictures import open_picture
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
# The words of the two languages of ModelZoo's READMEs, by the file that each goes into.
MARKDOWN: dict[str, dict[str, str]] = {
    "report.md": {name: name.replace("_", " ") for name in (*AxisName, *Verdict)}
    | {
        "title": "{} against {}: {}",
        "axes": "Axis | Verdict | Reason",
        "recorded": "recorded reference",
        "reference": "reference",
        "runs": "runs",
        "note": "Note",
        "caveat": "Weaker for",
        "precision": "Precision",
        "min_loss": "min loss is the lowest A_loss of a single training step.",
        "speed": "Performance",
        "sec_per_step": "sec/step is the median of single training steps.",
        "pictures": "Images",
        "missing": "missing",
    },
    "report.zh.md": {
        AxisName.FUNCTION: "功能",
        AxisName.ARITHMETIC: "算术",
        AxisName.TRAINING: "精度",
        AxisName.IMAGES: "图像",
        AxisName.PERFORMANCE: "性能",
        Verdict.PASS: "通过",
        Verdict.FAIL: "不通过",
        Verdict.INCONCLUSIVE: "无法判定",
        Verdict.NOT_MEASURED: "未测量",
        "title": "{} 对比 {}：{}",
        "axes": "项目 | 结论 | 依据（英文）",
        "recorded": "已记录的参考值",
        "reference": "参考",
        "runs": "训练次数",
        "note": "注意",
        "caveat": "证据不足之处",
        "precision": "精度",
        "min_loss": "min loss 为单个训练步中 A_loss 的最小值。",
        "speed": "性能",
        "sec_per_step": "sec/step 为单个训练步耗时（秒）的中位数。",
        "pictures": "图像",
        "missing": "缺失",
    },
}

# Rows of the table of numbers: label, note, where the number stands in summary.json.
FINAL = "mean over the last {window} steps"
NUMBERS = (
    ("min loss", "lowest A_loss of a single step: flatters", "min_loss"),
    ("final A_loss", FINAL, "final_loss.A_loss"),
    ("final B_loss", FINAL, "final_loss.B_loss"),
    ("sec/step, median", "", "sec_per_step"),
    ("sec/step, p95", "", "sec_per_step_p95"),
    ("images/s", "", "images_per_sec"),
    ("steps", "", "steps"),
    ("epochs", "", "epochs"),
)
TIMES = ("total", "training", "waiting_for_data", "checkpointing", "sampling")


class Section(NamedTuple):
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


class Row(NamedTuple):
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
            open_picture(path).save(folder / image_name(leg.name, kind), "JPEG", quality=JPEG_QUALITY)
    (folder / "report.html").write_text(render_html(comparison, legs), encoding="utf-8")
    for name, words in MARKDOWN.items():
        (folder / name).write_text(render_markdown(comparison, legs, words), encoding="utf-8")


def render_html(comparison: Comparison, legs: Sequence[LegRuns]) -> str:
    """Return the whole page; ``legs`` as in write_report."""
    with_reference = comparison.recorded is None
    template = environment(TEMPLATES).get_template("report.html.j2")
    return template.render(
        comparison=comparison,
        legs=legs,
        dataset=legs[0].first.options.dataset,
        charts=_charts(legs),
        speeds=[(leg.name, _median(leg, "sec_per_step"), _median(leg, "sec_per_step_p95")) for leg in legs],
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


def render_markdown(comparison: Comparison, legs: Sequence[LegRuns], words: Mapping[str, str]) -> str:
    """Return verdict, tables and pictures as a ModelZoo README shows them; the pictures lie beside the file.

    Args:
        comparison: What to report.
        legs: As in write_report.
        words: One of MARKDOWN; reasons and notes are English in both.
    """
    recorded = [comparison.recorded.values] if comparison.recorded else []
    losses, speeds = (
        [*(number(values.get(name)) for values in recorded), *(_cell(_numbers(leg, name)) for leg in legs)]
        for name in ("min_loss", "sec_per_step")
    )
    return (
        markdown_environment(TEMPLATES)
        .get_template("report.md.j2")
        .render(
            comparison=comparison,
            legs=legs,
            pictures={leg.name: {kind: image_name(leg.name, kind) for kind in first_pictures(leg.first)} for leg in legs},
            kinds=SAMPLE_KINDS,
            heads=[comparison.reference] * len(recorded) + [leg.name for leg in legs],
            losses=losses,
            speeds=speeds,
            words=words,
        )
    )


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


def number_rows(legs: Sequence[LegRuns]) -> list[Row]:
    """Return losses, speed, memory and time of each leg."""
    window = final_window(legs[0].first.history)

    def row(label: str, note: str, name: str) -> Row:
        return Row(label, note.format(window=window), tuple(_cell(_numbers(leg, name)) for leg in legs))

    return [
        *(row(*of) for of in NUMBERS),
        Row("peak memory", "", tuple(_peak_memory(leg) for leg in legs)),
        Row("energy, J", "of the accelerators", tuple(_cell([energy_joules(run) for run in leg.runs]) for leg in legs)),
        *(row(f"seconds, {part.replace('_', ' ')}", "", f"time.{part}") for part in TIMES),
    ]


def _numbers(leg: LegRuns, name: str) -> list[float | int | None]:
    """Return a number of the summaries of a leg's runs; ``name`` may lead into an object, as in time.total."""
    found = []
    for run in leg.runs:
        value: Any = run.summary.model_dump() if run.summary else None
        for key in name.split("."):
            value = value.get(key) if value else None
        found.append(value)
    return found


def _median(leg: LegRuns, name: str) -> float | None:
    known = [value for value in _numbers(leg, name) if value]
    return float(np.median(known)) if len(known) == len(leg.runs) else None


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
        sources = [_read(leg.first, image, section.source) for leg in legs]
        shown = [(next(filter(None, sources), None), section.source)]
        shown += [(output, f"{section.kind} of {leg.name}") for leg, output in zip(legs, outputs, strict=True)]
        shown += [
            (_difference(outputs[0], output), f"{section.kind} of {leg.name} minus {legs[0].name}")
            for leg, output in list(zip(legs, outputs, strict=True))[1:]
            if with_differences
        ]
        tags = [picture_tag(picture, f"{image}: {text}") if picture else None for picture, text in shown]
        if any(tags):
            rows.append((image, tags))
    return rows


def _read(run: LegRun, image: str, kind: str) -> Image.Image | None:
    path = run.picture(image, kind)
    return open_picture(path) if path else None


def _difference(reference: Image.Image | None, candidate: Image.Image | None) -> Image.Image | None:
    """Return candidate minus reference, GAIN times enlarged; the middle grey of 128 is no difference."""
    if reference is None or candidate is None or reference.size != candidate.size:
        return None
    signed = np.asarray(candidate, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return Image.fromarray(np.clip(128 + GAIN * signed, 0, 255).round().astype(np.uint8))


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
