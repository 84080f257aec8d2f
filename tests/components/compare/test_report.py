"""The files that a comparison leaves behind."""

import hashlib
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt
from PIL import Image

from components.compare.bounds import Bounds
from components.compare.judge import compare
from components.compare.leg import Leg, Source
from components.compare.verdict import SCHEMA_VERSION, Comparison, json_schema
from dualgan.run_folder import RunFolder, read_json
from parity.cli import main
from tests.components.run_folders import loss_table, write_events, write_leg, write_run

NAMED = {f"{leg}_{kind}.jpg" for leg in ("gpu", "npu") for kind in ("realA", "A2B", "A2B2A", "realB", "B2A", "B2A2B")}


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    reference = write_run(folder / "reference", device="gpu", device_name="Example GPU", noise=1)
    candidate = write_run(folder / "candidate", tensorflow="1.15.0", noise=2, options={"lr": 1e-4})
    legs = [Leg("gpu", (Source(reference),)), Leg("npu", (Source(candidate),))]
    compare(legs, "gpu", folder / "output", Bounds(max_distance_ratio=2.5))
    return folder / "output"


class Resources(HTMLParser):
    """Everything that a page would fetch, and everything that it says."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.tags: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "xlink:href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_all_files_are_there_and_nothing_else(output: Path) -> None:
    reports = {"comparison.json", "report.html", "report.md", "report.zh.md"}
    assert {path.name for path in output.iterdir()} == reports | NAMED
    assert {path.name for path in output.parent.iterdir()} == {"reference", "candidate", "output"}


def test_comparison_json_holds_schema_verdicts_numbers_bounds_and_reasons(output: Path) -> None:
    content = json.loads((output / "comparison.json").read_text(), parse_constant=pytest.fail)
    jsonschema.validate(content, json_schema())
    assert content["schema_version"] == 2
    assert (content["reference"], content["candidates"], content["verdict"]) == ("gpu", ["npu"], "fail")
    assert set(content["axes"]) == {"function", "arithmetic", "training", "images", "performance"}
    for axis in content["axes"].values():
        assert set(axis) == {"verdict", "reason", "bound", "numbers"}
        assert axis["reason"].endswith(".")
    assert content["axes"]["training"]["numbers"]["npu"]["min_loss_ratio"] == pytest.approx(1.0, abs=0.05)
    assert content["legs"]["gpu"]["runs"][0]["result"]["steps"] == 60
    assert content["bounds"]["min_sharpness_ratio"] == 0.25
    assert Comparison.read(output / "comparison.json").to_json() == content


def test_the_report_needs_no_other_file_and_no_network(output: Path) -> None:
    page = (output / "report.html").read_text()
    resources = Resources(page)
    assert not {"script", "link"} & set(resources.tags)
    assert not re.search(r"https?://|@import|url\((?!#)", page)
    assert [source for source in resources.sources if not source.startswith(("data:image/", "#"))] == []


def test_the_report_shows_the_verdict_first_then_what_it_rests_on(output: Path) -> None:
    resources = Resources((output / "report.html").read_text())
    first = ("npu is not as good as gpu", "What each leg was", "Losses over", "Pictures of")
    places = [resources.text.index(words) for words in first]
    assert places == sorted(places)
    for words in (
        "gpu: TensorFlow 2.21.0 on a GPU (Example GPU)",
        "npu: TensorFlow 1.15.0 on a CPU (Example CPU)",
        "The leg npu is no NPU",
        "Options that differ and should not",
        "min sharpness ratio",
        "device name",
        "device products",
        "device driver",
    ):
        assert words in resources.text
    assert resources.text.count("set for this comparison; the default is 2") == 1
    assert resources.tags.count("svg") == 5
    # Two images of four kinds, each as input, two legs' pictures and their difference.
    assert resources.tags.count("img") == 2 * 4 * 4


HOSTILE = (
    "<script>alert(1)</script> ![p](//x.example/p) [l](http://x.example) `c` **b** | c \x1b]0;t\x07\x9b1m \u202er\nx"
)


def test_what_a_run_says_becomes_no_markup_no_link_and_nothing_that_a_terminal_obeys(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [write_run(tmp_path / "a", device_name=HOSTILE), write_run(tmp_path / "b", summary={"reason": HOSTILE})]
    failed = write_run(tmp_path / "c", summary={"status": "failed", "reason": HOSTILE})
    main(["compare", *map(str, [*runs, failed]), "--output", str(tmp_path / "output")])
    page, *tables = ((tmp_path / "output" / name).read_text() for name in ("report.html", "report.md", "report.zh.md"))
    shown = [page, *(MarkdownIt("commonmark").enable("table").render(text) for text in tables)]
    for text in shown:
        resources = Resources(text)
        assert not {"script", "a", "code" if text is not page else "", "strong"} & set(resources.tags)
        assert all(source.startswith("data:image/") or source.endswith(".jpg") for source in resources.sources)
        assert "<script>alert(1)</script> ![p](//x.example/p) [l](http://x.example) `c` **b** | c" in resources.text
    for text in [*shown, *tables, capsys.readouterr().out]:
        assert not set("\x1b\x07\x9b\u202e") & set(text)
    assert tables[0].count("\n|") == tables[1].count("\n|")


def test_the_markdown_has_the_two_tables_of_a_modelzoo_readme(output: Path) -> None:
    text = (output / "report.md").read_text()
    assert re.search(
        r"^\| \| gpu \| npu \|\n\|---\|---\|---\|\n\| min loss \| 0\.0\d+ \| 0\.0\d+ \|$", text, re.MULTILINE
    )
    assert "| sec/step | 0.1 | 0.1 |" in text
    assert "npu against gpu: fail" in text.splitlines()[0]
    linked = re.findall(r"!\[[^]]*\]\(([^)]+)\)", text)
    assert set(linked) == NAMED
    for name in linked:
        with Image.open(output / name) as picture:
            assert (picture.format, picture.size) == ("JPEG", (64, 64))


def test_a_second_comparison_replaces_the_first(output: Path, tmp_path: Path) -> None:
    again = Path(shutil.copytree(output, tmp_path / "output"))
    reference = (Source(output.parent / "reference"),)
    compare([Leg("gpu", reference), Leg("npu", reference)], "gpu", again)
    assert read_json(again / "comparison.json")["verdict"] == "inconclusive"


def test_a_leg_without_a_training_step_still_gets_a_report(tmp_path: Path) -> None:
    sound = write_run(tmp_path / "a")
    failed = write_run(tmp_path / "b", summary={"status": "failed", "reason": "no memory", "steps": 0})
    write_events(RunFolder(failed).events, [])
    compare([Leg("a", (Source(sound),)), Leg("b", (Source(failed),))], "a", tmp_path / "output")
    assert "b did not finish: failed (no memory)" in (tmp_path / "output" / "report.html").read_text()


def test_a_long_run_makes_no_larger_report_than_a_short_one(tmp_path: Path) -> None:
    sizes = []
    for steps in (800, 20_000):
        run = write_run(tmp_path / f"steps-{steps}", steps=steps)
        write_events(RunFolder(run).events, loss_table(steps))
        compare([Leg("a", (Source(run),)), Leg("b", (Source(run),))], "a", tmp_path / f"output-{steps}")
        sizes.append((tmp_path / f"output-{steps}" / "report.html").stat().st_size)
    assert sizes[1] < 1.3 * sizes[0]


# Of the schema of SCHEMA_VERSION 2 without its texts, as it was published.
PUBLISHED = "f035af94aa5938d5a215c637ed2c30f6ebb3bb3929e14b323eb39be29b64cb4f"


def without_texts(schema: Any) -> Any:
    if isinstance(schema, list):
        return [without_texts(value) for value in schema]
    if not isinstance(schema, dict):
        return schema
    return {name: without_texts(value) for name, value in schema.items() if name not in ("title", "description")}


def test_the_schema_is_the_published_one() -> None:
    found = hashlib.sha256(json.dumps(without_texts(json_schema()), sort_keys=True).encode()).hexdigest()
    assert (SCHEMA_VERSION, found) == (2, PUBLISHED), "another SCHEMA_VERSION if readers break, then the new digest"


@pytest.fixture(scope="module")
def of_seeds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The output of a comparison of legs with three seeds each."""
    folder = tmp_path_factory.mktemp("seeds")
    legs = [write_leg("gpu", folder / "gpu", noise=1), write_leg("npu", folder / "npu", noise=2)]
    compare(legs, "gpu", folder / "output")
    return folder / "output"


def test_of_several_seeds_the_report_draws_bands_and_gives_deviations(of_seeds: Path) -> None:
    text = Resources((of_seeds / "report.html").read_text()).text
    assert "from the lowest to the highest of the seeds" in text
    assert "with seeds 0, 1, 2." in text
    assert re.search(r"final A_loss mean over the last 10 steps0\.0\d+ ± 0\.0\d+", text)
    assert [run["seed"] for run in read_json(of_seeds / "comparison.json")["legs"]["npu"]["runs"]] == [0, 1, 2]


def test_the_report_names_the_device_driver_and_arithmetic_of_every_seed(tmp_path: Path) -> None:
    runs = [
        write_run(tmp_path / f"seed-{seed}", device="gpu", device_name=f"GPU {seed}", options={"seed": seed})
        for seed in range(2)
    ]
    for seed, run in enumerate(runs):
        content = read_json(run / "options.json")
        content["environment"]["device"] |= {"driver": f"550.{seed}", "products": "tf32"}
        (run / "options.json").write_text(json.dumps(content))
    legs = [Leg(name, tuple(Source(run) for run in runs)) for name in ("one", "two")]
    compare(legs, "one", tmp_path / "output")
    said = Resources((tmp_path / "output" / "report.html").read_text()).text
    assert "GPU 0 / GPU 1" in said and "550.0 / 550.1" in said and "tf32" in said and "tf32 / tf32" not in said


def test_the_chinese_tables_have_the_numbers_of_the_english_ones(of_seeds: Path) -> None:
    english, chinese = ((of_seeds / name).read_text() for name in ("report.md", "report.zh.md"))
    assert "## 精度" in chinese and "## 性能" in chinese and "：通过" in chinese.splitlines()[0]
    tables = [
        [line for line in text.splitlines() if line.startswith(("| min loss", "| sec/step"))]
        for text in (english, chinese)
    ]
    assert tables[0] == tables[1] and len(tables[0]) == 2
