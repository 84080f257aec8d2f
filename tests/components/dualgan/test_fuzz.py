"""Whatever a file holds: a reader gives what its caller can count with, or one line of bad input; nothing else."""

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dualgan.checkpoints import saved_checkpoints
from dualgan.errors import BadInput
from dualgan.golden import load_golden
from dualgan.options import TrainOptions, recorded_options
from dualgan.run_folder import RunFolder, read_events
from dualgan.summary import summarise
from dualgan.trace import load_trace

GOLDEN = Path(__file__).parent / "golden" / "wgan-gp_globalgan_L1_b1.npz"
CHECKS = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
EXAMPLES = settings(max_examples=100, deadline=None, suppress_health_check=CHECKS)
WORDS = st.text(max_size=20) | st.sampled_from(["1", "\u00e9\ud800"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | WORDS
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner))
OPTION = st.sampled_from(sorted(TrainOptions().as_dict()))


@EXAMPLES
@given(record=st.dictionaries(OPTION, ANYTHING) | ANYTHING)
def test_options_of_any_kind(tmp_path: Path, record: Any) -> None:
    (tmp_path / "options.json").write_text(json.dumps({"options": record}))
    try:
        assert isinstance(recorded_options(RunFolder(tmp_path)), TrainOptions)
    except BadInput as error:
        assert str(error).startswith(str(tmp_path)) and "\n" not in str(error)


FIELDS = st.sampled_from(["step", "time", "type", "epoch", "seconds", "metrics", "feed", "update_norms"])


@EXAMPLES
@given(events=st.lists(st.dictionaries(FIELDS, ANYTHING | st.integers(0, 9)) | ANYTHING, max_size=4))
def test_events_of_any_kind(tmp_path: Path, events: list[Any]) -> None:
    (tmp_path / "events.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    try:
        found = list(read_events(tmp_path / "events.jsonl"))
    except BadInput as error:
        assert str(error).startswith(str(tmp_path))
    else:
        json.dumps(summarise(found, "finished", None, 1, {}))


@EXAMPLES
@given(content=ANYTHING, step=st.text(alphabet="0123456789²-", max_size=14))
def test_checkpoints_of_any_kind(tmp_path: Path, content: Any, step: str) -> None:
    folder = tmp_path / "checkpoint" / f"step-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "checkpoint.json").write_text(json.dumps(content))
    assert all(found.loss is None or math.isfinite(found.loss) for found in saved_checkpoints(folder.parent))


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_a_golden_file_or_a_trace_with_other_bytes(tmp_path: Path) -> None:
    whole, file, chance = GOLDEN.read_bytes(), tmp_path / "changed.npz", random.Random(0)
    for _ in range(3000):
        content = bytearray(whole[: chance.choice((len(whole), chance.randrange(len(whole))))])
        for _ in range(chance.randint(1, 20)):
            # Headers, and the directory at the end, are where structure is.
            place = chance.choice((chance.randrange(len(content) + 1), chance.randrange(600), len(content) - 200))
            if 0 <= place < len(content):
                content[place] = chance.randrange(256)
        file.write_bytes(bytes(content))
        for load in (load_golden, load_trace):
            try:
                load(file)
            except BadInput as error:
                assert str(error).startswith(f"{file}: ") and "\n" not in str(error)
