"""The contact sheet of a sample folder."""

import re
from pathlib import Path

import pytest

from components.common.html import write_sheet
from dualgan.errors import BadInput
from dualgan.run_folder import KINDS_FROM, SAMPLE_KINDS, sample_path
from tests.components.run_folders import write_samples


def test_every_picture_is_on_the_sheet_image_by_image(tmp_path: Path) -> None:
    write_sheet(write_samples(tmp_path / "step-000100", images=3), "Samples", tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    shown = re.findall(r'alt="([^"]*)"', page)
    assert shown == [f"val-{number:03d}: {kind}" for number in (1, 2, 3) for kind in SAMPLE_KINDS]


def test_the_sheet_needs_no_other_file(tmp_path: Path) -> None:
    write_sheet(write_samples(tmp_path / "step-000100"), "Samples", tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    assert all(source.startswith("data:image/") for source in re.findall(r'(?:src|href)="([^"]*)"', page))
    assert not re.search(r"https?://|<script|<link", page)


def test_small_pictures_are_enlarged_with_their_pixels_kept_and_large_ones_smoothly(tmp_path: Path) -> None:
    write_sheet(write_samples(tmp_path / "small", size=64), "Samples", tmp_path / "small.html")
    write_sheet(write_samples(tmp_path / "large", size=256), "Samples", tmp_path / "large.html")
    assert (tmp_path / "small.html").read_text().count('<img class="small"') == 12
    assert '<img class="small"' not in (tmp_path / "large.html").read_text()


def test_a_missing_picture_is_said_to_be_missing(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "step-000100", images=1)
    sample_path(samples, "val-001", "B2A").unlink()
    write_sheet(samples, "Samples", tmp_path / "sheet.html")
    assert (tmp_path / "sheet.html").read_text().count("missing</span>") == 1


def test_a_domain_that_has_fewer_images_has_no_pictures_in_the_last_rows(tmp_path: Path) -> None:
    samples = write_samples(tmp_path / "step-000100", images=2)
    for kind in KINDS_FROM["B"]:
        sample_path(samples, "val-002", kind).unlink()
    write_sheet(samples, "Samples", tmp_path / "sheet.html")
    page = (tmp_path / "sheet.html").read_text()
    assert page.count("<img ") == 9 and "missing" not in page


def test_the_title_cannot_become_markup(tmp_path: Path) -> None:
    write_sheet(write_samples(tmp_path / "step-000100"), "<b>npu</b>", tmp_path / "sheet.html")
    assert "&lt;b&gt;npu&lt;/b&gt;" in (tmp_path / "sheet.html").read_text()


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_samples_is_refused_and_nothing_is_written(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "step-000100"
    if made:
        folder.mkdir()
    with pytest.raises(BadInput, match="step-000100: no "):
        write_sheet(folder, "Samples", tmp_path / "sheet.html")
    assert not (tmp_path / "sheet.html").exists()
