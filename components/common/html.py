"""The look that all HTML pages of this repository share: one base template, one style sheet, the filters."""

from pathlib import Path

import jinja2

TEMPLATES = Path(__file__).parent / "templates"


def environment(templates: Path) -> jinja2.Environment:
    """Jinja2 over ``templates`` and the base; ``*.html.j2`` is escaped, an unknown name is an error."""
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader([templates, TEMPLATES]),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters["number"] = number
    made.filters["memory"] = memory
    return made


def number(value: float | int | str | None) -> str:
    """Four significant digits; a dash for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.0f}" if 1000 <= abs(value) < 1e9 else f"{value:.4g}"
    return str(value)


def memory(size: int | None) -> str:
    """A size in bytes with the unit in which it is short."""
    if size is None:
        return "–"
    return f"{size / 2**30:.2f} GiB" if size >= 2**30 else f"{size / 2**20:.0f} MiB"
