"""The command `dualgan`: train, sample, translate, export, verify, trace, replay, doctor."""

import argparse
import atexit
import ctypes
import inspect
import os
import sys
from pathlib import Path
from typing import Any, Callable, List, NoReturn, Optional

from dualgan import options as train_options
from dualgan.environment import require_libraries
from dualgan.errors import EXIT_BAD_INPUT, BadInput, exit_code_of, warn

# TensorFlow 2 loads all of Keras when it is imported, which takes as long as the rest of it; nothing here needs Keras.
# Where the module cannot be found, TensorFlow goes without.
if sys.version_info >= (3, 8):
    sys.modules["keras"] = None  # type: ignore[assignment]

# Of mallopt(3) in the GNU C library.
M_ARENA_MAX = -8

DESCRIPTION = """DualGAN: unpaired image-to-image translation.
Options may also be spelled as in the references: --image_size for --image-size.
--debug, anywhere on a command line, prints the traceback of an error as well."""

RUN_MODES = train_options.STEP_MODES[1:]


def share_one_arena() -> None:
    """Let all threads of this process share one heap; call it before they start. Only with the GNU C library.

    A step's tensors are freed by other threads than those that made them. With a heap a thread, as is usual, some
    16 kB a step stay unused for the first thousands of steps.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)


def sample(arguments: argparse.Namespace) -> int:
    """Draw the validation images of a trained run, six pictures an image."""
    from dualgan.sampling import sample as draw

    if not arguments.run_dir:
        raise BadInput("--run_dir: name the run folder to draw with")
    run_dir = Path(arguments.run_dir)
    output = getattr(arguments, "output", run_dir / "test")
    folders = [Path(folder) if folder else None for folder in (arguments.data_dir, arguments.cache_dir)]
    drawn = draw(run_dir, output, folders[0], getattr(arguments, "count", 0), arguments.device, folders[1])
    print(f"drew {drawn['A']} images of A and {drawn['B']} of B in {output}")
    return 0


def train(arguments: argparse.Namespace) -> int:
    """Train DualGAN on a dataset folder and write a run folder.

    The run folder holds options.json, events.jsonl (losses of every step), checkpoint/, samples/ and summary.json.
    Started again with the same options, a run that was stopped goes on from its newest checkpoint.
    Exit codes: 0 finished, 1 failed, 2 wrong input, 75 stopped by a signal after saving.
    """
    options = train_options.from_arguments(arguments)
    if arguments.phase == "test":
        return sample(arguments)
    share_one_arena()
    from dualgan.training import train as start_training

    summary = start_training(options)
    print("{status} after {steps} steps: min_loss {min_loss}, sec_per_step {sec_per_step}".format(**summary))
    return 0


def translate(arguments: argparse.Namespace) -> int:
    """Translate your own pictures with a trained run, or with a graph that `export` has written.

    Pictures may have any size and any of the formats that training takes; only the domain to translate from is needed.
    Each is squeezed to the model's size, translated, brought back to its own size, and written as PNG under its own
    name. OUTPUT/sheet.html shows all beside their originals. With --run-dir, --max-pixels is by default what the run
    had.
    Exit codes: 0 all are translated, 2 some could not be read.
    """
    from dualgan import translate as translation

    direction, device = arguments.direction, arguments.device
    if arguments.pb:
        generator = translation.exported_generator(arguments.pb, direction, device)
    elif direction is None:
        raise BadInput("--direction: say A2B or B2A")
    else:
        generator = translation.generator_of_run(arguments.run_dir, direction, device)
    own_size = not arguments.model_size
    done = translation.translate(generator, arguments.input, arguments.output, own_size, arguments.max_pixels)
    print(f"translated {done.translated} pictures in {arguments.output}; {translation.SHEET} there shows all")
    for problem in done.problems:
        warn(f"not translated: {problem}")
    return EXIT_BAD_INPUT if done.problems else 0


def export(arguments: argparse.Namespace) -> int:
    """Write a trained run's generators as frozen graphs, A2B.pb and B2A.pb, and signature.json."""
    from dualgan.sampling import export as write_graphs

    step = write_graphs(arguments.run_dir, arguments.output)
    print(f"exported the generators of step {step} to {arguments.output}")
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """Do single steps of the original DualGAN again on this TensorFlow and device.

    The first thing to run on a new accelerator: FILE holds what steps of the original implementation on TensorFlow 1.15
    (CPU) came to, each from a state that is given, so that nothing accumulates. The worst error of each kind is printed
    beside its bound. Exit codes: 0 all bounds hold, 1 one does not, 2 wrong input.
    """
    from dualgan.devices import open_recorded_device
    from dualgan.golden import verify as verify_files

    modes = RUN_MODES if arguments.step_mode == "both" else (arguments.step_mode,)
    given = train_options.given_options(arguments)
    del given["step_mode"]
    device = open_recorded_device(train_options.from_dict(given))
    return verify_files(arguments.files, device, modes, print)


def trace(arguments: argparse.Namespace) -> int:
    """Record some training steps, so that another device can do them again and be compared layer by layer.

    Options are those of `train`; if --run-dir names a run, they are that run's. The file holds what the steps were fed,
    and losses, layers' outputs, gradients, updates and drawn pictures as they came out here. Nothing is trained.
    """
    from dualgan.trace import record, request

    steps = record(request(arguments), arguments.output)
    print(f"recorded steps {steps[0]} to {steps[-1]} in {arguments.output}")
    return 0


def replay(arguments: argparse.Namespace) -> int:
    """Do the steps of a trace again on this TensorFlow and device, and say what differs first.

    Each recorded layer, gradient, update, loss and picture is compared from equal weights, so that the first layer that
    differs is named. Exit codes: 0 all bounds hold, 1 one does not, 2 wrong input.
    """
    from dualgan.replay import Leg, replay_and_print

    given = train_options.given_options(arguments)
    given.pop("run_dir", None)
    return replay_and_print(arguments.trace, Leg(arguments.run_dir, given), arguments.output, print)


def doctor(arguments: argparse.Namespace) -> int:
    """Say which libraries and devices a training finds here, and why others cannot be used.

    Nothing is computed and no memory of a device is taken, so it can run beside a training.
    Exit codes: 0 the device that --device asks for can be used, 1 it cannot.
    """
    from dualgan.doctor import doctor as look

    return look(arguments.device, arguments.json, print)


def add_command(commands: Any, perform: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    """Add the command that ``perform`` does, under its name and with its docstring as help."""
    text, form = inspect.getdoc(perform) or "", argparse.RawDescriptionHelpFormatter
    summary = text.splitlines()[0]
    added: argparse.ArgumentParser = commands.add_parser(
        perform.__name__, help=summary, description=text, formatter_class=form
    )
    added.set_defaults(perform=perform)
    return added


def parser() -> train_options.Parser:
    root = train_options.Parser(prog="dualgan", description=DESCRIPTION)
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    commands.required = True
    devices = train_options.DEVICES

    added = add_command(commands, train)
    train_options.add_arguments(added)
    phase_help = "test: translate the validation images into RUN_DIR/test with the newest checkpoint, as `sample` does"
    added.add_argument("--phase", choices=("train", "test"), default="train", help=phase_help)

    added = add_command(commands, sample)
    added.add_argument("--run-dir", required=True, type=Path, help="run folder with a checkpoint")
    added.add_argument("--data-dir", type=Path, help="dataset folder (default: the one trained on)")
    added.add_argument("--output", required=True, type=Path, help="folder to make, with six pictures an image")
    added.add_argument("--count", type=int, default=0, help="how many images (default: 0, all)")
    added.add_argument("--device", choices=devices, help="default: the device trained on")
    added.add_argument("--cache-dir", type=Path, help="folder for decoded images")

    added = add_command(commands, translate)
    model = added.add_mutually_exclusive_group(required=True)
    model.add_argument("--run-dir", type=Path, help="run folder with a checkpoint")
    model.add_argument("--pb", type=Path, help="exported graph (A2B.pb), or the folder that `export` has made")
    added.add_argument("--input", type=Path, nargs="+", required=True, help="pictures, or flat folders of them")
    added.add_argument("--direction", choices=("A2B", "B2A"), help="from which domain to which")
    added.add_argument("--output", required=True, type=Path, help="folder to make")
    added.add_argument("--model-size", action="store_true", help="write pictures at the model's size, not their own")
    added.add_argument("--device", choices=devices, help="default: the device trained on; cpu for --pb")
    train_options.add_options(added, ["max_pixels"])

    added = add_command(commands, export)
    added.add_argument("--run-dir", required=True, type=Path, help="run folder with a checkpoint")
    added.add_argument("--output", required=True, type=Path, help="folder to make, with the graphs and signature.json")

    added = add_command(commands, verify)
    added.add_argument("files", type=Path, nargs="+", metavar="FILE", help="golden file (.npz), or a folder of them")
    train_options.add_options(added, ("device", *train_options.DEVICE_OPTIONS))
    modes, mode_help = ("both", *RUN_MODES), "update critics and generators in one session.run, in two, or check both"
    added.add_argument("--step-mode", choices=modes, default="both", help=f"{mode_help} (default)")

    added = add_command(commands, trace)
    train_options.add_arguments(added)
    added.add_argument("--output", required=True, type=Path, help="trace file to write (.npz)")
    added.add_argument("--steps", type=int, help="how many steps (default: 12)")
    added.add_argument("--checkpoint", action="store_true", help="start from RUN_DIR's newest checkpoint")

    added = add_command(commands, replay)
    added.add_argument("trace", type=Path, metavar="TRACE", help="trace file (.npz)")
    added.add_argument("--run-dir", type=Path, help="run of the leg that is asked about: replay as it trained")
    added.add_argument("--output", type=Path, default=Path("replay.json"), help="default: replay.json")
    train_options.add_options(added, train_options.LEG_OPTIONS)

    added = add_command(commands, doctor)
    added.add_argument("--device", choices=("any", *devices), default="any", help="which must be usable (default: any)")
    added.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
    return root


# Options of a training that are paths, but strings to argparse.
PATHS = ("data_dir", "run_dir", "cache_dir", "init_from")
NPU_ADAPTERS = ("npu_bridge", "npu_device")


def make_paths_absolute(arguments: argparse.Namespace) -> None:
    """Let paths be of the folder that they were given in: an NPU leaves one that cannot be written to."""
    for name, value in vars(arguments).items():
        if value and (isinstance(value, Path) or name in PATHS):
            setattr(arguments, name, type(value)(train_options.absolute_path(str(value))))


def main(arguments: Optional[List[str]] = None) -> int:
    """Run a command, by default the one of the process's own command line, and return the exit code."""

    def perform(texts: List[str]) -> int:
        given = parser().parse_args(texts)
        if not os.access(os.curdir, os.W_OK):
            make_paths_absolute(given)
        if given.command != "doctor":
            require_libraries()
        return int(given.perform(given))

    return exit_code_of(perform, sys.argv[1:] if arguments is None else arguments)


def program() -> NoReturn:
    """Run the process's own command and end the process."""
    code = main()
    if any(package in sys.modules for package in NPU_ADAPTERS):
        # It leaves the card, and writes the profile, when the process ends as usual.
        atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    # TensorFlow's threads are not waited for: everything is written and closed.
    os._exit(code)
