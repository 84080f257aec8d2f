"""The report of a comparison: an HTML page that needs nothing else; tables and pictures of a ModelZoo README."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from components.common.html import environment, markdown_environment, number, picture_tag
from components.compare.axes.performance import energy_joules
from components.compare.bounds import reasons
from components.compare.charts import curve_of_runs, loss_chart
from components.compare.leg import LegRun, LegRuns, is_shared, option_values
from components.compare.measure import last_steps
from components.compare.verdict import Comparison
from dualgan.pictures import open_picture
from dualgan.run_folder import SAMPLE_KINDS

TEMPLATES = Path(__file__).parent / "templates"
MAX_IMAGES = 8
# By how much differences of pictures are enlarged.
GAIN = 4
JPEG_QUALITY = 95

CHARTS = ("A_loss", "B_loss", "d_loss", "g_loss", "gradient_penalty")
# The words of the two languages of ModelZoo's READMEs, by the file that each goes into; reasons and notes are English
# in both.
MARKDOWN: dict[str, dict[str, str]] = json.loads((TEMPLATES / "words.json").read_text(encoding="utf-8"))

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
    ("peak memory, MiB", "", "peak_memory_bytes"),
    ("energy, J", "of the accelerators", "energy"),
    *(
        (f"seconds, {part.replace('_', ' ')}", "", f"time.{part}")
        for part in ("total", "training", "waiting_for_data", "checkpointing", "sampling")
    ),
)
# Kinds of output, each with the input that it was drawn from: title, input, output.
SECTIONS = (
    ("A drawn as B", "real_A", "A2B"),
    ("and back to A", "real_A", "A2B2A"),
    ("B drawn as A", "real_B", "B2A"),
    ("and back to B", "real_B", "B2A2B"),
)


def write_report(comparison: Comparison, legs: Sequence[LegRuns], folder: Path) -> None:
    """Write report.html, report.md, report.zh.md and each leg's first pictures; the reference is the first leg."""
    # What a ModelZoo README calls a picture: gpu_realA.jpg, npu_A2B.jpg, ...
    first = {leg.name: _first_pictures(leg.first) for leg in legs}
    pictures = {name: {kind: f"{name}_{kind.replace('_', '')}.jpg" for kind in found} for name, found in first.items()}
    for name, found in first.items():
        for kind, path in found.items():
            open_picture(path).save(folder / pictures[name][kind], "JPEG", quality=JPEG_QUALITY)
    page = environment(TEMPLATES).get_template("report.html.j2")
    (folder / "report.html").write_text(page.render(_page(comparison, legs)), encoding="utf-8")
    recorded = [comparison.recorded.values] if comparison.recorded else []
    rows = {
        name: [*(number(values.get(name)) for values in recorded), *(_cell(leg, name) for leg in legs)]
        for name in ("min_loss", "sec_per_step")
    }
    template = markdown_environment(TEMPLATES).get_template("report.md.j2")
    for file, words in MARKDOWN.items():
        text = template.render(
            comparison=comparison,
            legs=legs,
            pictures=pictures,
            kinds=SAMPLE_KINDS,
            heads=[comparison.reference] * len(recorded) + [leg.name for leg in legs],
            losses=rows["min_loss"],
            speeds=rows["sec_per_step"],
            words=words,
        )
        (folder / file).write_text(text, encoding="utf-8")


def _page(comparison: Comparison, legs: Sequence[LegRuns]) -> dict[str, Any]:
    """Return what the template of the page shows."""
    images = sorted({image for leg in legs for image in leg.first.samples})[:MAX_IMAGES]
    window = last_steps(legs[0].first.history)
    sections = []
    for title, source, kind in SECTIONS:
        rows = (_pictures(image, source, kind, legs, not comparison.recorded) for image in images)
        sections.append((title, source, kind, list(filter(any, rows))))
    ends = [max(run.history.ended for run in leg.runs) for leg in legs]
    return {
        "comparison": comparison,
        "legs": legs,
        "dataset": legs[0].first.options.dataset,
        "charts": _charts(legs),
        "speeds": [(leg.name, *(_median(leg, name) for name in ("sec_per_step", "sec_per_step_p95"))) for leg in legs],
        "rows": [
            (label, note.format(window=window), [_cell(leg, name) for leg in legs]) for label, note, name in NUMBERS
        ],
        "sections": sections,
        "images": images,
        "environments": _environments(legs),
        "options": [(name, values, is_shared(values)) for name, values in option_values(legs).items()],
        "reasons": reasons(comparison.bounds),
        "bounds": comparison.bounds.values(),
        "ended": [f"{datetime.fromtimestamp(end, UTC):%Y-%m-%d %H:%M UTC}" for end in ends],
    }


def _charts(legs: Sequence[LegRuns]) -> list[tuple[str, str]]:
    """Return (metric, SVG) of each loss that a leg logged in all its runs."""
    charts = []
    for metric in CHARTS:
        curves = {
            place: curve_of_runs([(run.history.steps, run.history.losses[metric]) for run in leg.runs])
            for place, leg in enumerate(legs)
            if all(metric in run.history.losses for run in leg.runs)
        }
        if curves:
            charts.append((metric, loss_chart(metric, curves)))
    return charts


def _number(run: LegRun, name: str) -> float | None:
    """Return a number of a run's summary; ``name`` may lead into an object, as in time.total."""
    if name == "energy":
        return energy_joules(run)
    value: Any = run.summary
    for key in name.split("."):
        value = value.get(key) if isinstance(value, dict) else getattr(value, key, None)
    found: float | None = round(value / 2**20) if name == "peak_memory_bytes" and value else value
    return found


def _numbers(leg: LegRuns, name: str) -> list[float]:
    """Return a number of each run's summary; [] if a run did not measure it."""
    values = [_number(run, name) for run in leg.runs]
    return [value for value in values if value is not None and None not in values]


def _median(leg: LegRuns, name: str) -> float | None:
    values = _numbers(leg, name)
    return float(np.median(values)) if values else None


def _cell(leg: LegRuns, name: str) -> str:
    """Return "–" if a run did not measure it, "mean ± deviation" over several runs."""
    values = _numbers(leg, name)
    if len(set(values)) < 2:
        return number(values[0] if values else None)
    return f"{number(float(np.mean(values)))} ± {float(np.std(values, ddof=1)):.2g}"


def _pictures(image: str, source: str, kind: str, legs: Sequence[LegRuns], has_reference: bool) -> list[str | None]:
    """Return tags of an image's pictures by the legs' first runs; None for what is missing.

    They are the input, each leg's output, and each candidate's output minus that of the reference, the first leg.
    """
    paths = [leg.first.picture(image, kind) for leg in legs]
    outputs = [open_picture(path) if path else None for path in paths]
    inputs = filter(None, (leg.first.picture(image, source) for leg in legs))
    drawn_from = next(inputs, None)
    shown = [(open_picture(drawn_from) if drawn_from else None, source)]
    shown += [(output, f"{kind} of {leg.name}") for leg, output in zip(legs, outputs, strict=True)]
    if has_reference:
        shown += [
            (_difference(outputs[0], output), f"{kind} of {leg.name} minus {legs[0].name}")
            for leg, output in zip(legs[1:], outputs[1:], strict=True)
        ]
    return [picture_tag(picture, f"{image}: {text}") if picture else None for picture, text in shown]


def _difference(reference: Image.Image | None, candidate: Image.Image | None) -> Image.Image | None:
    """Return candidate minus reference, GAIN times enlarged; the middle grey of 128 is no difference."""
    if reference is None or candidate is None or reference.size != candidate.size:
        return None
    signed = np.asarray(candidate, dtype=np.float64) - np.asarray(reference, dtype=np.float64)
    return Image.fromarray(np.clip(128 + GAIN * signed, 0, 255).round().astype(np.uint8))


def _first_pictures(run: LegRun) -> dict[str, Path]:
    """Return, by kind, the picture of the first validation image that has this kind."""
    found = {kind: path for image in reversed(list(run.samples)) for kind, path in run.samples[image].items()}
    return {kind: found[kind] for kind in SAMPLE_KINDS if kind in found}


def _environments(legs: Sequence[LegRuns]) -> Mapping[str, list[str]]:
    """Return every line of the legs' environments by its name: each value that a seed had, "–" if none had one."""
    columns = [[_environment(run) for run in leg.runs] for leg in legs]
    names = dict.fromkeys(name for runs in columns for run in runs for name in run)
    return {
        name: [" / ".join(dict.fromkeys(run[name] for run in runs if name in run)) or "–" for runs in columns]
        for name in names
    }


def _environment(run: LegRun) -> dict[str, str]:
    recorded = run.options.environment.model_dump()
    device, variables = recorded.pop("device"), recorded.pop("variables")
    lines = {f"device {name}": value for name, value in device.items()} | recorded | dict(sorted(variables.items()))
    return {name: str(value) for name, value in lines.items() if value is not None}
