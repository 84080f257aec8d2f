"""python -m dualgan train|sample|export|verify --help"""

import argparse
import os
import sys
from pathlib import Path
from typing import List, NoReturn, Optional

from dualgan import options as train_options
from dualgan.allocator import share_one_arena
from dualgan.errors import EXIT_FAILED, BadInput, DualGANError

TRAIN_HELP = """Train DualGAN on a dataset folder and write a run folder.

The run folder holds options.json, events.jsonl (losses of every step), checkpoint/, samples/ and summary.json.
Started again with the same options, a run that was stopped goes on from its newest checkpoint.
Exit codes: 0 finished, 1 failed, 2 wrong input, 75 stopped by a signal after saving."""

VERIFY_HELP = """Replay recorded steps of the original DualGAN on this TensorFlow and device.

The first thing to run on a new accelerator: FILE holds initial weights, images and every random number of a few
training steps of the original implementation on TensorFlow 1.15 (CPU), and the losses and images that came out.
Each quantity's worst error is printed beside its bound. Exit codes: 0 all hold, 1 one does not, 2 wrong input."""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, as everywhere here."""

    def error(self, message: str) -> NoReturn:
        raise BadInput("{}; see {} --help".format(message, self.prog))


def parser() -> argparse.ArgumentParser:
    root = Parser(prog="python -m dualgan", description="DualGAN: unpaired image-to-image translation.")
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    plain = argparse.RawDescriptionHelpFormatter

    train = commands.add_parser(
        "train", help="train and write a run folder", description=TRAIN_HELP, formatter_class=plain
    )
    train_options.add_arguments(train)
    train.add_argument(
        "--phase",
        choices=("train", "test"),
        default="train",
        help="test: translate the validation images into RUN_DIR/test with the newest checkpoint, as `sample` does",
    )

    sample = commands.add_parser("sample", help="draw the validation images of a trained run")
    sample.add_argument("--run_dir", required=True, type=Path, help="run folder with a checkpoint")
    sample.add_argument("--data_dir", type=Path, help="dataset folder (default: the one trained on)")
    sample.add_argument("--output", required=True, type=Path, help="folder to make, with six pictures an image")
    sample.add_argument("--count", type=int, default=0, help="how many images (default: 0, all)")
    sample.add_argument("--device", choices=train_options.DEVICES, help="default: the device trained on")
    sample.add_argument("--cache_dir", type=Path, help="folder for decoded images")

    export = commands.add_parser("export", help="write a trained run's generators as frozen graphs, A2B.pb and B2A.pb")
    export.add_argument("--run_dir", required=True, type=Path, help="run folder with a checkpoint")
    export.add_argument("--output", required=True, type=Path, help="folder to make, with the graphs and signature.json")

    verify = commands.add_parser(
        "verify", help="replay recorded steps of the original", description=VERIFY_HELP, formatter_class=plain
    )
    verify.add_argument("file", type=Path, metavar="FILE", help="golden file (.npz)")
    verify.add_argument("--device", choices=train_options.DEVICES, default="cpu", help="default: cpu")
    verify.add_argument(
        "--step_mode", choices=("both", *train_options.STEP_MODES[1:]), default="both",
        help="update critics and generators in one session.run, in two, or check both (default)",
    )  # fmt: skip
    return root


def draw_validation_images(arguments: argparse.Namespace) -> int:
    """The sample command, and train --phase test."""
    from dualgan.sample_command import sample

    if not arguments.run_dir:
        raise BadInput("--run_dir: name the run folder to draw with")
    run_dir = Path(arguments.run_dir)
    output = getattr(arguments, "output", run_dir / "test")
    folders = [Path(folder) if folder else None for folder in (arguments.data_dir, arguments.cache_dir)]
    count = sample(run_dir, output, folders[0], getattr(arguments, "count", 0), arguments.device, folders[1])
    print("drew {} pairs of images in {}".format(count, output))
    return 0


def run(arguments: argparse.Namespace) -> int:
    if arguments.command == "train":
        options = train_options.from_arguments(arguments)
        if arguments.phase == "test":
            return draw_validation_images(arguments)
        share_one_arena()
        from dualgan.training import train

        summary = train(options)
        print("{status} after {steps} steps: min_loss {min_loss}, sec_per_step {sec_per_step}".format(**summary))
        return 0
    if arguments.command == "sample":
        return draw_validation_images(arguments)
    if arguments.command == "export":
        from dualgan.export_command import export

        step = export(arguments.run_dir, arguments.output)
        print("exported the generators of step {} to {}".format(step, arguments.output))
        return 0
    from dualgan.verify_command import verify

    modes = {"both": (True, False), "one-run": (True,), "two-run": (False,)}[arguments.step_mode]
    return verify(arguments.file, arguments.device, modes, print)


def main(arguments: Optional[List[str]] = None) -> int:
    try:
        return run(parser().parse_args(arguments))
    except DualGANError as error:
        print("error: {}".format(error), file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print("error: {}".format(error), file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's threads are not waited for: everything is written and closed.
    os._exit(code)
