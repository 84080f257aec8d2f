"""docs/porting.md stays true: its commands exist, its tables are complete, and the whole day can be gone through."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.common.revision import WORKING_TREE
from dualgan.cli import parser as dualgan_parser
from dualgan.devices import npu_options
from dualgan.devices.npu_options import Cann
from dualgan.options import PRECISION_MODES
from tests.components.dualgan.devices.double import double_environment, npu_trainer
from tests.components.dualgan.trainer import SMALL
from tests.parity.parsing import parse

GUIDE = (WORKING_TREE / "docs" / "porting.md").read_text()
COMMANDS = [line.strip() for line in GUIDE.splitlines() if line.startswith("    ")]
ASCEND, REFERENCE, COMPARE = "python3.7 -m dualgan ", "python -m dualgan ", "parity compare "


def test_every_command_is_one_that_the_programs_take() -> None:
    for command in COMMANDS:
        if command.startswith((ASCEND, REFERENCE)):
            arguments = dualgan_parser().parse_args(shlex.split(command)[3:])
            npu_options.parse_parameters(getattr(arguments, "npu_parameters", None) or "")
            assert command.startswith(ASCEND) == (arguments.device == "npu"), command
        elif command.startswith(COMPARE):
            parse(command)
        elif command.startswith("make "):
            target = command.split()[1]
            assert re.search(rf"^{target}:", (WORKING_TREE / "Makefile").read_text(), re.M), command
        else:
            assert command == "export PYTHONPATH=components"


def test_parameters_in_the_text_are_such_as_a_training_takes() -> None:
    quoted = re.findall(r"`--npu-parameters '(\{.*?\})'`", GUIDE)
    assert quoted
    for text in quoted:
        npu_options.check_parameters(npu_options.parse_parameters(text), Cann(None, None, Path("/")), "force_fp32")


def test_the_tables_name_every_precision_mode_and_key() -> None:
    keys = section("## Keys of `--npu-parameters`")
    documented = set(re.findall(r"`([a-z_]+)`", keys)) - {"options"}
    assert set(npu_options.PARAMETERS) <= documented
    assert documented <= {*npu_options.PARAMETERS, *npu_options.NOT_OPEN}
    assert set(PRECISION_MODES) <= set(re.findall(r"`([a-z0-9_]+)`", section("## Precision")))


def test_what_the_doctor_says_is_what_the_program_says() -> None:
    said = " ".join(
        node.value
        for file in Path(npu_options.__file__).parent.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )
    rows = re.findall(r"^\| `(.*?)` .*\|", section("## 1. Is everything there?"), re.M)
    quoted = [row for row in rows if not row.startswith("health")]
    assert len(quoted) > 4
    for text in quoted:
        # A name, a number or a library's own words stand where the program puts them in.
        for fragment in re.split(r"\.\.\.|npu_bridge|\d+", re.sub(r"\(.*\)", "", text)):
            assert fragment.strip() in said or fragment.endswith("="), text


def section(heading: str) -> str:
    return GUIDE.split(heading + "\n")[1].split("\n## ")[0]


def of_this_machine(command: str, ascend: str) -> list[str]:
    """A command of the guide with the double for the NPU and the CPU for the GPU, on small networks."""
    program, *arguments = shlex.split(command.replace("--device gpu", "--device cpu"))
    if "train" in arguments:
        arguments += [
            *SMALL,
            "--max_steps",
            "30",
            "--train_epochs",
            "9",
            "--sample_images",
            "2",
            "--cache_dir",
            "cache",
        ]
    programs = {"python3.7": [ascend], "python": [sys.executable], "parity": [sys.executable, "-m", "parity"]}
    return [*programs[program], *arguments]


@pytest.mark.system
@pytest.mark.timeout(2700)
def test_the_day_can_be_gone_through(pytestconfig: pytest.Config, tmp_path: Path, dataset: Path) -> None:
    golden = Path("tests/components/dualgan/golden")
    shutil.copytree(dataset, tmp_path / "faces")
    shutil.copytree(WORKING_TREE / golden, tmp_path / golden)
    # The double rounds factors as an Ascend 910 does.
    emulation = {"NPU_BRIDGE_DOUBLE_CUBE": "factors", "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment = {**os.environ, **double_environment(), **emulation}
    for command in COMMANDS:
        # A profile and a dump are trainings like the others, with parameters that are checked above.
        if command.startswith(("export", "make")) or "npu-profile" in command or "npu-dump" in command:
            continue
        arguments = of_this_machine(command, str(npu_trainer(pytestconfig).python))
        answer = subprocess.run(
            arguments, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900, check=False
        )
        # Two trainings of a few steps cannot pass; that the comparison came to a verdict is what counts.
        fine = (0, 3, 4) if "compare" in command else (0,)
        assert answer.returncode in fine, f"{command}\n{answer.stdout}{answer.stderr}"
        if "verify" in command:
            errors = re.findall(r"^  picture +\S+ +(\S+) ", answer.stdout, re.M)
            assert max(map(float, errors)) > 1e-5, "float32 differs by 2e-6"
    assert (tmp_path / "runs" / "comparison" / "report.html").is_file()
