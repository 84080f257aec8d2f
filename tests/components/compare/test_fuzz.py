"""Whatever stands in the files that a comparison reads: it is compared, or refused in a line, and never a traceback.

Real artifacts are mutated, as JSON and as bytes, for DUALGAN_FUZZ_SECONDS in all (default 60; 600 is ten minutes).
"""

import json
import math
import os
import shutil
import time
import warnings
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from components.compare.bounds import Bounds
from components.compare.judge import compare, judge
from components.compare.leg import Leg, Source, read_leg
from components.compare.references import load_reference, record
from components.compare.verdict import Comparison
from dualgan.errors import BadInput, DualGANError
from dualgan.run_folder import NETWORKS, RunFolder, write_json
from tests.components.compare.test_arithmetic import replay_content
from tests.components.run_folders import STARTED, write_run

SECONDS = float(os.environ.get("DUALGAN_FUZZ_SECONDS", "60"))
# What a comparison reads, in the folder of artifacts.
FILES = {
    "options.json": "npu/options.json",
    "summary.json": "npu/summary.json",
    "events.jsonl": "npu/events.jsonl",
    "replay.json": "replay.json",
    "reference.json": "reference.json",
    "comparison.json": "comparison/comparison.json",
    "power": "npu.system.jsonl",
    "png": "npu/samples/step-000020/val-001-A2B.png",
}
NUMBERS = (math.nan, math.inf, -math.inf, 0, -1, 2**31, 2**63 - 1, 2**64, 10**400, 0.5, 1e-320, 1e308, -1e308)
OTHERS: list[Any] = [None, True, False, "", "\ud800", "\x1b[31m", "x" * 20_000, "²", "npu", "classic"]
OTHERS += [[], {}, [[]], {"a": []}]
VALUES = st.one_of(st.sampled_from([*NUMBERS, *OTHERS]), st.integers(), st.floats(), st.text(max_size=20))
# Python's json neither writes nor parses what is nested that deep.
DEEP = b'{"a":' * 5000 + b"1" + b"}" * 5000


def places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path of each value in a JSON content."""
    inner = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    return [path, *(place for key, value in inner for place in places(value, (*path, key)))]


def with_value(content: Any, path: tuple[Any, ...], value: Any, lose: bool) -> Any:
    """Return ``content`` with another value at ``path``, or none."""
    if not path:
        return value
    changed = dict(content) if isinstance(content, dict) else list(content)
    if lose and len(path) == 1:
        del changed[path[0]]
    else:
        changed[path[0]] = with_value(content[path[0]], path[1:], value, lose)
    return changed


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Return a file with a few values, or a few bytes, that are others."""
    if draw(st.integers(0, 40)) == 0:
        return draw(st.sampled_from([b"", b"{}", b"[]", b"\xff\xfe", DEEP, original + original]))
    if original.startswith(b"{") and draw(st.booleans()):
        lines = original.splitlines() if b"\n{" in original else [original]
        for _ in range(draw(st.integers(1, 3))):
            number = draw(st.integers(0, len(lines) - 1))
            content = json.loads(lines[number])
            path = draw(st.sampled_from(places(content)))
            changed = with_value(content, path, draw(VALUES), draw(st.integers(0, 4)) == 0)
            if not isinstance(changed, dict):
                return json.dumps(changed).encode()
            lines[number] = json.dumps(changed).encode()
        return b"\n".join(lines) + b"\n"
    changed_bytes = bytearray(original)
    for _ in range(draw(st.integers(1, 4))):
        begin = draw(st.integers(0, len(changed_bytes)))
        end = min(len(changed_bytes), begin + draw(st.sampled_from([0, 1, 1, 4, 64])))
        changed_bytes[begin:end] = draw(st.binary(max_size=8))
    return bytes(changed_bytes)


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two sound runs, a replay, a reference, a comparison and samples of power."""
    folder = tmp_path_factory.mktemp("artifacts")
    gpu = write_run(folder / "gpu", device="gpu", steps=20, options={"seed": 1}, images=1)
    npu = write_run(folder / "npu", device="npu", steps=20, tensorflow="1.15.0", options={"seed": 1}, images=1, noise=2)
    more = {"feed": [1.0, 2.0, 1.0, 2.0], "update_norms": dict.fromkeys(NETWORKS, 0.1)}
    for run in (gpu, npu):
        events = [json.loads(line) for line in RunFolder(run).events.read_text().splitlines()]
        changed = [event | more if "epoch" in event else event for event in events]
        RunFolder(run).events.write_text("".join(json.dumps(event) + "\n" for event in changed))
    write_json(folder / "replay.json", replay_content())
    write_json(folder / "reference.json", record("old", [Source(gpu)], "a test").model_dump(mode="json"))
    samples = [{"step": 0, "time": STARTED + at, "metrics": {"npu_0_power_usage_watts": 90.0}} for at in (0, 1, 2)]
    (folder / "npu.system.jsonl").write_text("".join(json.dumps(sample) + "\n" for sample in samples))
    legs = [Leg("gpu", (Source(gpu),)), Leg("npu", (Source(npu),), folder / "replay.json")]
    compare(legs, "gpu", folder / "comparison")
    return folder


def use(name: str, folder: Path, with_report: bool = False) -> None:
    """Do with a file what a comparison does with it."""
    if name == "comparison.json":
        Comparison.read(folder / FILES[name]).to_json()
        return
    legs = [Leg("gpu", (Source(folder / "gpu"),)), Leg("npu", (Source(folder / "npu"),), folder / "replay.json")]
    recorded = load_reference(str(folder / "reference.json")) if name == "reference.json" else None
    if with_report:
        compare(legs[1:] if recorded else legs, "gpu", folder / "output", recorded=recorded)
        Comparison.read(folder / "output" / "comparison.json")
    else:
        gpu, npu = map(read_leg, legs)
        json.dumps(judge(recorded or gpu, [npu], Bounds()).to_json(), allow_nan=False)


@pytest.mark.stress
@pytest.mark.timeout(60 + 2 * SECONDS)
@pytest.mark.parametrize("name", FILES)
def test_a_mutated_file_is_compared_or_refused_in_a_line(name: str, artifacts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(artifacts, tmp_path / "copy"))
    file = folder / FILES[name]
    original = file.read_bytes()
    outcomes = {"compared": 0, "refused": 0}

    @settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(mutated(original))
    def try_it(content: bytes) -> None:
        file.write_bytes(content)
        try:
            # A report takes a second.
            use(name, folder, with_report=sum(outcomes.values()) % 10 == 0)
            outcomes["compared"] += 1
        except BadInput as refusal:
            outcomes["refused"] += 1
            assert len(str(refusal).splitlines()) == 1 and len(str(refusal)) < 2000
            str(refusal).encode()

    end = time.monotonic() + SECONDS / len(FILES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        while time.monotonic() < end:
            try_it()
    assert outcomes["compared"] and (outcomes["refused"] or name == "power"), outcomes


@pytest.mark.parametrize("kind", ["pipe", "folder", "no file"])
@pytest.mark.parametrize("name", [name for name in FILES if name not in ("reference.json", "power")])
def test_what_is_no_file_is_refused_and_not_waited_for(name: str, kind: str, artifacts: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(artifacts, tmp_path / "copy"))
    file = folder / FILES[name]
    file.unlink()
    if kind == "pipe":
        os.mkfifo(file)
    elif kind == "folder":
        file.mkdir()
    elif name in ("summary.json", "png"):
        use(name, folder)
        return
    with pytest.raises(DualGANError):
        use(name, folder)
