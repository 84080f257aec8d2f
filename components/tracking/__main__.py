"""Command line: ``python -m components.tracking sync RUN_FOLDER``, ``python -m components.tracking ui``."""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from components.tracking.lean import leave_out_data_libraries
from dualgan.errors import EXIT_FAILED, BadInput, DualGANError
from dualgan.run_folder import RunFolder


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m components.tracking", description="Run folders in MLflow.")
    commands = parser.add_subparsers(dest="command", required=True)
    sync = commands.add_parser(
        "sync",
        help="bring MLflow level with a run folder",
        description="Send what MLflow does not have yet of a run folder. A flag left out comes from the "
        "file that training left beside the folder (RUN_FOLDER.tracking.json), then from MLFLOW_TRACKING_URI, "
        "then from the folder's options.json.",
    )
    sync.add_argument("run_folder", type=Path, metavar="RUN_FOLDER")
    sync.add_argument("--tracking-uri", help="MLflow server or sqlite:/// file (default: the local store)")
    sync.add_argument("--experiment", help="default: the dataset's name")
    sync.add_argument("--pipeline-run-id", help="default: one of this training alone")
    sync.add_argument("--leg", help="default: the kind of the device")
    sync.add_argument("--role", choices=("reference", "candidate"), help="default: candidate")
    ui = commands.add_parser("ui", help="serve the local store and print the address of the comparison page")
    ui.add_argument("--store", type=Path, metavar="DIR", help="default: .local/mlflow in the working tree")
    ui.add_argument("--port", type=int, help="default: 5000, or a free one where that is taken")
    return parser.parse_args(arguments)


def run_sync(arguments: argparse.Namespace) -> None:
    folder = RunFolder(arguments.run_folder)
    if not folder.options.is_file() or not folder.events.is_file():
        missing = folder.events if folder.options.is_file() else folder.options
        raise BadInput(f"{folder.path}: no run folder, {missing.name} is missing; give the folder that training wrote")

    from tqdm import tqdm

    from components.tracking.placement import Placement, read_placement
    from components.tracking.reasons import explain, without_credentials
    from components.tracking.sync import RunFolderSync

    flags = Placement(
        tracking_uri=arguments.tracking_uri,
        experiment=arguments.experiment,
        pipeline_run_id=arguments.pipeline_run_id,
        leg=arguments.leg,
        role=arguments.role,
    )
    placement = flags.completed(read_placement(folder.path)).with_environment()
    size = folder.events.stat().st_size
    # disable=None: no bar where standard error is no terminal.
    with tqdm(total=size, unit="B", unit_scale=True, disable=None, leave=False) as bar:

        def show(position: int) -> None:
            bar.update(position - bar.n)

        sync = RunFolderSync(folder.path, placement, on_progress=show)
        try:
            sent = sync.step()
        except DualGANError:
            raise
        except Exception as error:
            raise DualGANError(explain(error, sync.tracking_uri)) from error
    if sync.run_id is None:
        print(f"{folder.path}: nothing to send yet, training has not begun")
        return
    target = f"run {sync.run_id} at {without_credentials(sync.tracking_uri)}"
    print(f"sent {sent} to {target}")


def run_ui(arguments: argparse.Namespace) -> None:
    from components.tracking.store import local_store
    from components.tracking.ui import newest_comparison, serve

    store = arguments.store or local_store()
    # Started in a script's background, Python would leave SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        with serve(store, arguments.port) as address:
            page = newest_comparison(store, address)
            print(page or address, flush=True)
            print("Ctrl-C stops the server", flush=True)
            while True:
                signal.pause()
    except KeyboardInterrupt:
        return


def main(arguments: Sequence[str] | None = None) -> int:
    chosen = parse_arguments(arguments)
    try:
        if chosen.command == "sync":
            run_sync(chosen)
        else:
            run_ui(chosen)
    except DualGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    leave_out_data_libraries()
    sys.exit(main())
