"""python -m pipelines run|compile|check|submit|retrain|schedule|doctor --help"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

from components.compare.__main__ import EXIT_CODES
from dualgan.errors import EXIT_BAD_INPUT, EXIT_FAILED, BadInput, DualGANError
from pipelines import cluster_commands
from pipelines.doctor import command as doctor_command
from pipelines.local_run import LOCAL, run
from pipelines.profile import Profile, known_profiles, load_profile

RUN_HELP = """Run the parity pipeline on this machine: dataset, train each leg, draw samples, compare, publish.

Results go into a new folder under .local/runs (.local/latest is the newest comparison), losses and images into
the MLflow store that --tracking-uri or MLFLOW_TRACKING_URI names, by default .local/mlflow (`make ui` shows it).
Exit codes: 0 pass, 3 fail, 4 inconclusive; 1 a task failed, 2 wrong input."""


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    root = Parser(prog="python -m pipelines", description="The parity pipeline: run it here or on a cluster.")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    profile_help = f"one of {', '.join(known_profiles())}, or a .yaml file (default: local)"

    running = commands.add_parser(
        "run",
        help="run it on this machine",
        description=RUN_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    running.add_argument("--profile", default="local", help=profile_help)
    running.add_argument(
        "--dataset", help="a source as of `python -m components.dataset list` (default: the profile's)"
    )
    running.add_argument("--dataset-sha256", default="", help="what the dataset's archive must have")
    running.add_argument(
        "--quarantine", action="store_true", help="set images aside that cannot be used, instead of failing"
    )
    _add_seeds(running)
    running.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a training option as of `python -m dualgan train --help`, for every leg; may be repeated",
    )
    running.add_argument(
        "--runner",
        choices=["subprocess", "docker"],
        default="subprocess",
        help="a process for each task, or a container of its image (`make images`) (default: subprocess)",
    )
    running.add_argument("--results", type=Path, default=LOCAL, help="folder for runs/ and latest/ (default: .local)")
    running.add_argument("--tracking-uri", default="", help="MLflow server or store")
    running.add_argument("--experiment", default="", help="MLflow experiment (default: the dataset's name)")

    compiling = commands.add_parser("compile", help="write the package for a cluster")
    compiling.add_argument("--profile", default="local", help=profile_help)
    compiling.add_argument("--output", type=Path, help="default: .local/packages/PROFILE.yaml")
    _add_seeds(compiling)

    checking = commands.add_parser("check", help="look for mistakes in profiles, without a cluster")
    checking.add_argument("profiles", nargs="*", metavar="PROFILE", help="names or .yaml files (default: all)")
    checking.add_argument("--dataset", help="a source in place of the profiles' own")
    cluster_commands.add_commands(commands)

    doctor_command.add_arguments(
        commands.add_parser(
            "doctor",
            help="look at a cluster",
            description=doctor_command.HELP,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
    )
    return root


def _add_seeds(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, help="the first seed of weights, order and everything random")
    command.add_argument("--seeds", type=int, metavar="COUNT", help="how many seeds (default: the profile's)")


def main(arguments: list[str] | None = None) -> int:
    try:
        options = parser().parse_args(arguments)
        return _perform(options)
    except DualGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


def _perform(options: argparse.Namespace) -> int:
    if options.command == "doctor":
        return _doctor(options)
    if options.command == "check":
        return _check(options.profiles or known_profiles(), options.dataset)
    if options.command in cluster_commands.VERBS:
        return cluster_commands.perform(options, lambda line: print(line, flush=True))
    profile = load_profile(options.profile).with_seeds(options.seed, options.seeds)
    return _run(profile, options) if options.command == "run" else _compile(profile, options)


def _run(profile: Profile, options: argparse.Namespace) -> int:
    parameters = {
        "dataset": profile.source(options.dataset),
        "options": dict(_assignment(text) for text in options.option),
        "tracking_uri": options.tracking_uri,
        "experiment": options.experiment,
        "dataset_sha256": options.dataset_sha256,
        "quarantine": options.quarantine,
    }
    done = run(profile, parameters, options.results, options.runner)
    print(f"\n{done.verdict.upper()}: {done.reason}")
    print(f"report: {_shown(done.report)}")
    where = options.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI")
    print(f"model: {done.model}")
    print(f"curves, images and models in MLflow: {where or '`make ui`'}")
    return EXIT_CODES[done.verdict]


def _shown(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _assignment(text: str) -> tuple[str, Any]:
    """``max_steps=100`` as a name and a value of its own type; what is no number or truth value is a string."""
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--option {text}: must be NAME=VALUE, such as max_steps=100")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _doctor(options: argparse.Namespace) -> int:
    text, code = doctor_command.doctor(options)
    print(text)
    return code


def _check(names: list[str], dataset: str | None) -> int:
    from pipelines.check import check

    problems = []
    for checked in (check(name, dataset) for name in names):
        problems += [checked.problem] if checked.problem else []
        if not checked.problem:
            print(f"{checked.name}: {checked.tasks} tasks, no problem found")
    for problem in problems:
        print(f"error: {problem}", file=sys.stderr)
    return EXIT_BAD_INPUT if problems else 0


def _compile(profile: Profile, options: argparse.Namespace) -> int:
    from pipelines.compile import compile_package

    output = options.output or LOCAL / "packages" / f"{profile.name}.yaml"
    compile_package(profile, output)
    print(_shown(output))
    return 0


if __name__ == "__main__":
    sys.exit(main())
