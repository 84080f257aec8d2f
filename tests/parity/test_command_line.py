"""parity and dualgan as a user meets them: help, examples, completion, documents, one line for a mistake."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import typer
from typer.core import TyperCommand, TyperGroup

from components.common.cli import EXAMPLE
from components.common.revision import WORKING_TREE
from dualgan.cli import parser as dualgan_parser
from dualgan.options import TrainOptions, flag_of
from parity.cli import app, main
from tests.parity.parsing import documented, parse

BIN = Path(sys.executable).parent
DOCUMENTS = sorted([WORKING_TREE / "README.md", *(WORKING_TREE / "docs").glob("*.md")])


def commands(group: TyperGroup, path: str = "parity") -> Iterator[tuple[str, TyperCommand]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from commands(command, f"{path} {name}")
        else:
            assert isinstance(command, TyperCommand)
            yield f"{path} {name}", command


ROOT = typer.main.get_command(app)
assert isinstance(ROOT, TyperGroup)
COMMANDS = dict(commands(ROOT))


def test_the_verbs_are_there() -> None:
    verbs = ["run", "compile", "check", "submit", "retrain", "schedule", "upload", "doctor", "gc"]
    verbs += ["sync", "ui", "publish"]
    parts = ["dataset fetch", "dataset verify", "dataset list", "dataset mirror", "dataset info"]
    assert set(COMMANDS) == {
        f"parity {name}" for name in [*verbs, *parts, "compare legs", "compare record", "compare schema"]
    }


@pytest.mark.parametrize("path", COMMANDS)
def test_the_help_of_a_command_ends_with_an_example_that_it_takes(
    path: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    example = (COMMANDS[path].epilog or "").removeprefix(EXAMPLE)
    parsed = parse(example)
    assert parsed.command == path
    assert main([*path.split()[1:], "--help"]) == 0
    printed = capsys.readouterr().out
    # As it is printed it can be copied.
    assert printed.strip().endswith(f"{EXAMPLE}{example}")


@pytest.mark.parametrize("path", [path for path in COMMANDS if path != "parity compare schema"])
def test_every_option_is_spelled_in_kebab_case_and_explained(path: str) -> None:
    for parameter in COMMANDS[path].params:
        for flag in [flag for flag in (*parameter.opts, *parameter.secondary_opts) if flag.startswith("-")]:
            assert flag == flag.lower().replace("_", "-")
            assert getattr(parameter, "help", None), flag


def test_the_commands_stand_in_groups(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    printed = capsys.readouterr().out
    for panel in ("On this machine", "On a cluster", "MLflow", "Parts of a run"):
        assert f"─ {panel} ─" in printed


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_in_documents_are_taken(document: Path) -> None:
    for line in documented(document.read_text(encoding="utf-8")):
        words = line.split()
        # A mention such as `parity compare record` says which command, not with what.
        if (
            line in (*COMMANDS, "parity compare", "parity dataset")
            or words[-1] == "--help"
            or (words[0] == "dualgan" and len(words) == 2)
        ):
            continue
        parse(line)


@pytest.mark.parametrize(
    ("line", "resumed"),
    [
        ("--resume", "newest"),
        ("--resume 2026-11-27", "2026-11-27"),
        ("--resume --seeds 5", "newest"),
        ("--seed 1", None),
    ],
)
def test_a_run_to_go_on_with_need_not_be_named(line: str, resumed: str | None) -> None:
    assert parse(f"parity run {line}").parameters["resume"] == resumed


def test_documents_name_commands() -> None:
    named = [line for document in DOCUMENTS for line in documented(document.read_text(encoding="utf-8"))]
    assert len(named) > 20


@pytest.mark.parametrize("option", [option.name for option in fields(TrainOptions)])
def test_a_training_option_has_the_reference_s_spelling_too(option: str) -> None:
    value = "True" if getattr(TrainOptions(), option) is False else None
    for action in dualgan_parser()._subparsers._group_actions[0].choices["train"]._actions:  # type: ignore[union-attr, index]
        if action.dest == option:
            value = value or (action.choices[0] if action.choices else "3")
    lines = [f"dualgan train {flag} {value}" for flag in (flag_of(option), f"--{option}")]
    one, two = (parse(line).parameters for line in lines)
    assert one == two and one[option] is not None
    assert parse(f"dualgan train --{option}={value}").parameters == one


@pytest.mark.parametrize(
    ("module", "arguments", "words"),
    [
        ("parity", ["--help"], "parity [OPTIONS] COMMAND"),
        ("pipelines", ["check", "--help"], "parity check [OPTIONS]"),
        ("components.dataset", ["verify", "--help"], "parity dataset verify [OPTIONS]"),
        ("components.compare", ["record", "--help"], "parity compare record [OPTIONS]"),
        ("components.tracking", ["sync", "--help"], "parity sync [OPTIONS]"),
        ("components.publish", ["--help"], "parity publish [OPTIONS]"),
        ("dualgan", ["doctor", "--help"], "dualgan doctor [-h]"),
    ],
)
def test_a_module_of_that_name_is_the_same_command(module: str, arguments: list[str], words: str) -> None:
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert words in done.stdout


def test_programs_are_installed_and_work_in_any_folder(tmp_path: Path) -> None:
    for program in ("parity", "dualgan"):
        command = [str(BIN / program), "frobnicate"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 2
        assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
        assert "frobnicate" in done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["dataset", "list"]])
def test_help_imports_no_heavy_library(arguments: list[str]) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "parity", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "parity.cli" in imported
    assert not imported & {"tensorflow", "mlflow", "kfp", "kubernetes", "numpy", "pandas", "boto3", "PIL"}


@pytest.mark.parametrize(
    ("words", "offered"), [("parity re", "retrain"), ("parity run --prof", "--profile"), ("parity check loc", "local")]
)
def test_a_shell_completes_commands_options_and_profiles(words: str, offered: str) -> None:
    request = {
        "_PARITY_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
    }
    environment = {**os.environ, **request}
    done = subprocess.run(
        [str(BIN / "parity")], env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert offered in done.stdout.split()
