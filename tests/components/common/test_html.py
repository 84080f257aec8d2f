"""Pages: the contact sheet of a sample folder, and text in Markdown."""

import re
from pathlib import Path

import pytest

from components.common.html import markdown_text, write_sheet
from dualgan.errors import BadInput
from dualgan.run_folder import KINDS_FROM, SAMPLE_KINDS, sample_path
from tests.components.run_folders import write_samples


def page_of(samples: Path, title: str = "Samples") -> str:
    sheet = samples.with_suffix(".html")
    write_sheet(samples, title, sheet)
    return sheet.read_text()


def test_every_picture_is_on_the_sheet_which_needs_no_other_file(tmp_path: Path) -> None:
    page = page_of(write_samples(tmp_path / "step-000100", images=3), "<b>npu</b>")
    shown = re.findall(r'alt="([^"]*)"', page)
    assert shown == [f"val-{number:03d}: {kind}" for number in (1, 2, 3) for kind in SAMPLE_KINDS]
    assert all(source.startswith("data:image/") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert not re.search(r"https?://|<script|<link", page)
    assert "&lt;b&gt;npu&lt;/b&gt;" in page


def test_small_pictures_are_enlarged_with_their_pixels_kept_and_large_ones_smoothly(tmp_path: Path) -> None:
    assert page_of(write_samples(tmp_path / "small", size=64)).count('<img class="small"') == 12
    assert '<img class="small"' not in page_of(write_samples(tmp_path / "large", size=256))


def test_a_missing_picture_is_said_to_be_missing_but_not_one_of_a_domain_with_fewer_images(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "step-000100", images=2)
    sample_path(samples, "val-001", "B2A").unlink()
    for kind in KINDS_FROM["B"]:
        sample_path(samples, "val-002", kind).unlink()
    page = page_of(samples)
    assert page.count("<img ") == 8 and page.count("missing</span>") == 1


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_samples_is_refused_and_nothing_is_written(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "step-000100"
    if made:
        folder.mkdir()
    with pytest.raises(BadInput, match="step-000100: no "):
        page_of(folder)
    assert not folder.with_suffix(".html").exists()


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("final_A_loss 0.05 (1.0)", "final_A_loss 0.05 (1.0)"),
        ("_a_ [b](c) | d\ne", r"\_a\_ \[b\](c) \| d e"),
        ("http://a www.b <c> d@e", "http:&#47;&#47;a www&#46;b &#60;c&#62; d&#64;e"),
    ],
)
def test_text_stays_text_in_markdown(text: str, markdown: str) -> None:
    assert markdown_text(text) == markdown
