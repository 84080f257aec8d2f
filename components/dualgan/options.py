"""The options of a training run: names, defaults, what they mean, and what is allowed."""

import argparse
import json
import os
import sys
from dataclasses import Field, asdict, dataclass, field, fields
from functools import partial
from typing import Any, Callable, Dict, Mapping, NoReturn, Optional, Sequence, Tuple

from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.run_folder import RunFolder, read_json

DEVICES = ("cpu", "gpu", "npu")
GAN_TYPES = ("wgan-gp", "wgan", "classic")
DISC_TYPES = ("globalgan", "patchgan")
LOSS_METRICS = ("L1", "L2")
STEP_MODES = ("auto", "one-run", "two-run")
# Beyond what any device has room for, as are larger SIDES: sizes of networks can be counted with.
MAX_FILTERS = 1 << 12
ON_NAN = ("stop", "continue")
# What each does is said in devices/npu_options.py.
PRECISION_MODES = (
    *("force_fp32", "cube_fp16in_fp32out", "allow_fp32_to_fp16", "allow_mix_precision", "allow_mix_precision_fp16"),
    *("force_fp16", "must_keep_origin_dtype", "allow_fp32_to_bf16", "allow_mix_precision_bf16"),
)
PRESETS: Dict[str, Dict[str, Any]] = {
    "full": {"train_epochs": 100},
    "performance": {"train_epochs": 1, "sample_freq": 0, "save_freq": 0},
}
# What a resumed run may change: nothing that was computed so far depends on it.
CHANGEABLE = frozenset(
    ("run_dir", "data_dir", "dataset_name", "cache_dir", "train_epochs", "max_steps", "save_freq", "sample_freq")
    + ("sample_images", "log_freq", "keep_checkpoints", "on_nan", "max_pixels", "git_commit")
)
# Names that the original has for an option besides.
ALIASES = {"epoch": "train_epochs"}
# Those that mean something on some devices only.
DEVICE_OPTIONS = ("precision_mode", "loss_scale", "npu_parameters", "deterministic", "allow_tf32")
# What belongs to a leg, not to the experiment: where and how it computes.
LEG_OPTIONS = ("device", *DEVICE_OPTIONS, "threads", "step_mode")


def _is_loss_scale(text: str) -> bool:
    try:
        return text in ("off", "dynamic") or 1 <= float(text) < float("inf")
    except ValueError:
        return False


# What a value must be: a check, and the words that complete "must be ...".
Limit = Tuple[Callable[[Any], bool], str]
SIDES = [2**exponent for exponent in range(5, 14)]
SIDE: Limit = (lambda n: n in SIDES, f"a power of two from 32 to {SIDES[-1]}, such as 128 or 256")
FILTERS: Limit = (lambda n: 1 <= n <= MAX_FILTERS, f"in [1, {MAX_FILTERS}]")
CHANNELS: Limit = (lambda n: n in (1, 3), "3 (RGB) or 1 (grey)")
SEED: Limit = (lambda n: 0 <= n < 2**32, f"from 0 to {2**32 - 1}")
COUNT: Limit = (lambda n: n >= 1, "at least 1")
COUNT_OR_0: Limit = (lambda n: n >= 0, "0 or more")
WEIGHT: Limit = (lambda x: 0 <= x < float("inf"), "a number from 0 up")
POSITIVE: Limit = (lambda x: 0 < x < float("inf"), "a positive number")
LOSS_SCALE: Limit = (_is_loss_scale, "off, dynamic or a number from 1 up, such as 1024")
ANYTHING: Limit = (lambda value: True, "")
SHARE: Limit = (lambda x: 0 <= x < 1, "in [0, 1)")


def _option(default: Any, text: str, limit: Limit = ANYTHING, choices: Optional[Sequence[str]] = None) -> Any:
    return field(default=default, metadata={"help": text, "limit": limit, "choices": choices})


@dataclass(frozen=True)
class TrainOptions:
    """Every option of ``dualgan train``; the names are those of the references if they have one."""

    data_dir: str = _option("", "dataset folder: {train,val}/{A,B}/ with .jpg, .png, ... images, or {train,test}{A,B}/")
    run_dir: str = _option("", "run folder to write; if it holds an unfinished run, that run goes on")
    dataset_name: str = _option("", "name of the dataset in records; default: what dataset.json says")
    train_epochs: int = _option(100, "epochs; one is min(images of A, images of B) // batch_size steps", COUNT)
    max_steps: int = _option(0, "stop after this many steps even within an epoch; 0: no limit", COUNT_OR_0)
    batch_size: int = _option(1, "images of each domain in a step", COUNT)
    image_size: int = _option(256, "side in pixels, a power of two from 32; 256 is the reference", SIDE)
    A_channels: int = _option(3, "channels of domain A: 3 (RGB) or 1 (grey)", CHANNELS)
    B_channels: int = _option(3, "channels of domain B: 3 (RGB) or 1 (grey)", CHANNELS)
    gcn: int = _option(64, "filters of the generators' first layer", FILTERS)
    dcn: int = _option(64, "filters of the critics' first layer", FILTERS)
    GAN_type: str = _option("wgan-gp", "adversarial loss", choices=GAN_TYPES)
    disc_type: str = _option("globalgan", "critic: one judgement an image, or one a patch", choices=DISC_TYPES)
    loss_metric: str = _option("L1", "reconstruction loss: mean absolute or mean square", choices=LOSS_METRICS)
    lambda_A: float = _option(1000.0, "weight of domain A's reconstruction loss (500 for oil-chinese)", WEIGHT)
    lambda_B: float = _option(1000.0, "weight of domain B's reconstruction loss (500 for oil-chinese)", WEIGHT)
    lr: float = _option(5e-5, "learning rate of both RMSProp optimisers", POSITIVE)
    rmsprop_decay: float = _option(0.9, "decay of RMSProp's mean square", SHARE)
    n_critic: int = _option(1, "wgan, wgan-gp: update the generators at every n-th step only", COUNT)
    clip_value: float = _option(0.01, "wgan: critic variables are clipped to [-clip_value, clip_value]", POSITIVE)
    dropout_rate: float = _option(0.0, "share of features dropped in d1..d3 while training; 0: off", SHARE)
    flip: bool = _option(False, "mirror each training image left-right with probability one half")
    seed: int = _option(0, "seed of initial weights, order, flips, epsilon and dropout, all drawn on the host", SEED)
    device: str = _option("cpu", "where to train; one that is not there is an error", choices=DEVICES)
    threads: int = _option(
        0,
        "CPU threads for one operation; 0: half of the cores with --device cpu, else as many as there are",
        COUNT_OR_0,
    )
    precision_mode: str = _option(
        "", "npu: types of convolutions and the rest; default: the highest that the chip has", choices=PRECISION_MODES
    )
    loss_scale: str = _option("off", "npu, mixed precision: off, dynamic, or a fixed number such as 1024", LOSS_SCALE)
    npu_parameters: str = _option(
        "", 'npu: more of its session, as JSON: \'{"op_compiler_cache_dir": "/cache"}\'; docs/porting.md lists the keys'
    )
    deterministic: bool = _option(False, "gpu, npu: operations give the same bits each time; slower")
    allow_tf32: bool = _option(False, "gpu: products may round factors to TensorFloat-32; faster")
    step_mode: str = _option("auto", "update critics and generators in one session.run or in two", choices=STEP_MODES)
    init_from: str = _option("", "start from the weights of a run folder or of a checkpoint, the original's included")
    save_freq: int = _option(1000, "steps between checkpoints; 0: only the last step", COUNT_OR_0)
    keep_checkpoints: int = _option(3, "how many of the newest checkpoints to keep, beside the best", COUNT)
    sample_freq: int = _option(500, "steps between sample pictures; 0: only the last step", COUNT_OR_0)
    sample_images: int = _option(4, "how many validation images to draw as samples", COUNT_OR_0)
    log_freq: int = _option(0, "steps between lines of progress on a pipe; 0: a line every 15 seconds", COUNT_OR_0)
    on_nan: str = _option("stop", "a loss that is not finite stops the run, or is only recorded", choices=ON_NAN)
    max_pixels: int = _option(89_478_485, "an image with more pixels is refused; fetch has the same limit", COUNT)
    cache_dir: str = _option("", "folder for decoded images; default: $XDG_CACHE_HOME/dualgan or ~/.cache/dualgan")
    git_commit: str = _option("", "commit of the code, for the record")

    def as_dict(self) -> Dict[str, Any]:
        return asdict(self)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add every option to ``parser``, and --preset."""
    add_options(parser, [option.name for option in fields(TrainOptions)])
    parser.add_argument(
        "--preset", choices=sorted(PRESETS), help="full: 100 epochs; performance: one epoch, no samples, for timing"
    )


def flag_of(name: str) -> str:
    """Return how the option ``name`` is spelled on a command line: --image-size."""
    return "--" + name.replace("_", "-").lower()


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, and which takes the references' spelling: --image_size for --image-size."""

    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """Parse as argparse does."""
        given = sys.argv[1:] if args is None else args
        return super().parse_known_args([self._respelled(argument) for argument in given], namespace)

    def _respelled(self, argument: str) -> str:
        name, equals, value = argument.partition("=")
        flag = flag_of(name[2:]) if name.startswith("--") and name != "--" else name
        is_known = any(known.startswith(flag) for known in self._option_string_actions)
        return flag + equals + value if is_known else argument


def add_options(parser: argparse.ArgumentParser, names: Sequence[str]) -> None:
    """Add the options ``names`` to ``parser``; one that is not given is None."""
    for option in (option for option in fields(TrainOptions) if option.name in names):
        is_switch, choices = option.type is bool, option.metadata["choices"]
        shown = "" if is_switch or option.default == "" else f" (default: {option.default})"
        of_switch: Dict[str, Any] = {"nargs": "?", "const": True} if is_switch else {}
        parser.add_argument(
            flag_of(option.name),
            *(flag_of(alias) for alias, name in ALIASES.items() if name == option.name),
            dest=option.name,
            type=partial(_parsed, option),
            choices=choices,
            metavar="True|False" if is_switch else None if choices else option.name.upper(),
            help=option.metadata["help"].replace("%", "%%") + shown,
            **of_switch,
        )


def parsed_options(given: Mapping[str, Any]) -> Dict[str, Any]:
    """Return training options by name, each of its declared type: the one way in for what is not a command line's.

    Args:
        given: Text as on a command line, or values of JSON or YAML: a whole number may come as a float, as Kubeflow
            Pipelines hands it over, a text as a number (dataset_name: 2024), and npu_parameters as an object. Names may
            be spelled as on a command line: image-size, epoch.

    Raises:
        BadInput: A name is unknown, or a value is of another type. What it must be within, ``from_dict`` checks.
    """
    options = {flag_of(option.name): option for option in fields(TrainOptions)}
    found = {}
    for name, value in given.items():
        option = options.get(flag_of(ALIASES.get(str(name), str(name))))
        if option is None:
            known = ", ".join(sorted(option.name for option in options.values()))
            raise BadInput(f"training option {name!r}: unknown; known are {known}")
        try:
            found[option.name] = _parsed(option, value)
        except argparse.ArgumentTypeError as error:
            raise BadInput(f"training option {name}: {error}") from None
    return found


def _parsed(option: "Field[Any]", value: Any) -> Any:
    """Return ``value`` as the option's type. Raises ArgumentTypeError if it is of another one."""
    if value is False and option.default == "off":
        # What YAML makes of the word.
        return "off"
    kind: Any = option.type
    try:
        return {bool: _truth, int: _whole, float: _number, str: _text}[kind](value)
    except (ValueError, TypeError, KeyError, OverflowError):
        shown = value if isinstance(value, float) else repr(value)[:80]
        raise argparse.ArgumentTypeError(f"{shown} is not of type {kind.__name__}") from None


def _truth(value: Any) -> bool:
    return {"true": True, "false": False}[str(value).lower()]


def _number(value: Any) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _whole(value: Any) -> int:
    number = _number(value)
    if number % 1:
        raise ValueError
    return int(number)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return json.dumps(value)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise TypeError
    return str(int(value)) if isinstance(value, float) and value % 1 == 0 else str(value)


def given_options(arguments: argparse.Namespace) -> Dict[str, Any]:
    """Return the training options that a command line gives, by name."""
    names = {option.name for option in fields(TrainOptions)}
    return {name: value for name, value in vars(arguments).items() if name in names and value is not None}


def from_arguments(arguments: argparse.Namespace) -> TrainOptions:
    """The options given, on top of the preset's, on top of the defaults. Raises BadInput."""
    given = given_options(arguments)
    # The record tells others, and this run when it goes on, where data and first weights are.
    given.update({name: absolute_path(given[name]) for name in ("data_dir", "init_from") if name in given})
    return validated(TrainOptions(**{**PRESETS.get(arguments.preset, {}), **given}))


def is_path(text: str) -> bool:
    """Return whether ``text`` may be a path: it is not empty, and no address such as s3://bucket/key."""
    return bool(text) and "://" not in text


def absolute_path(text: str) -> str:
    """Return a path as it means the same in every folder; what is no path stays as it is."""
    return os.path.abspath(text) if is_path(text) else text


def from_dict(values: Mapping[str, Any]) -> TrainOptions:
    """Return the options that ``values`` say, as parsed_options takes them, on top of the defaults. Raises BadInput."""
    return validated(TrainOptions(**parsed_options(values)))


def validated(options: TrainOptions) -> TrainOptions:
    """Return ``options``; raise BadInput, naming the first option that is wrong and what would be right."""
    for option in fields(TrainOptions):
        choices, value = option.metadata["choices"], getattr(options, option.name)
        allows, requirement = option.metadata["limit"]
        if not allows(value):
            raise BadInput(f"--{option.name} {value}: must be {requirement}")
        # Bytes of a path that are no UTF-8 could not be written into a record.
        if option.type is str and value != value.encode("utf-8", "replace").decode("utf-8"):
            raise BadInput(f"--{option.name} {value!a}: not UTF-8; rename it")
        if choices and value not in choices and value != option.default:
            raise BadInput(f"--{option.name} {value}: must be one of {', '.join(choices)}")
    check_loss_scale(options.loss_scale, options.step_mode == "one-run")
    return options


def check_loss_scale(loss_scale: str, one_run: bool) -> None:
    """Raise BadInput if losses of critics and generators are both scaled in one run.

    An NPU notes overflows in one register: it could not say whose gradients overflowed.
    """
    if loss_scale != "off" and one_run:
        raise BadInput(f"--loss_scale {loss_scale}: needs --step_mode two-run")


def require_same(recorded: TrainOptions, given: TrainOptions, heading: str, advice: str) -> None:
    """Raise BadInput, naming them, if ``given`` changes options that a run which goes on must not change.

    Args:
        heading: What the message says before the options, such as "runs/a: holds a run with other options".
        advice: What it says behind them.
    """
    different = [
        f"{option.name}: {getattr(recorded, option.name)} -> {getattr(given, option.name)}"
        for option in fields(TrainOptions)
        if option.name not in CHANGEABLE and getattr(recorded, option.name) != getattr(given, option.name)
    ]
    if different:
        raise BadInput(f"{heading} ({'; '.join(different)}); {advice}")


def recorded_options(folder: RunFolder) -> TrainOptions:
    """Return the options of a run. Raises BadInput if ``folder`` is no run folder or its options.json is damaged."""
    if not folder.options.is_file():
        raise BadInput(f"{folder.path}: no run folder (it has no options.json)")
    return options_in(read_json(folder.options), folder)


def options_in(record: Mapping[str, Any], folder: RunFolder) -> TrainOptions:
    """Return the options in the content of options.json of ``folder``. Raises BadInput if they are damaged."""
    try:
        return from_dict(record["options"])
    except (*OF_CONTENT, BadInput) as error:
        raise BadInput(f"{folder.options}: damaged, or of another version ({first_line(error)})") from None
