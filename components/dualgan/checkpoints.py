"""Checkpoints: ``checkpoint/step-000100/`` holds TensorFlow's files and ``checkpoint.json``, whole or not at all.

All variables and both optimisers' slots are in TensorFlow's files, the step in checkpoint.json; what the data and
random numbers need is the step alone. TensorFlow's format carries a checksum of every tensor.

A training starts from weights drawn from its seed, or from a checkpoint: one of the original, which has the same
variable names and colours in BGR order, or one of this software, in RGB order. The slots of this software's two
optimisers tell them apart; they are not taken over.
"""

import math
import os
import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Container, Dict, Iterator, List, NamedTuple, Optional, Tuple

import numpy as np

from dualgan.errors import OF_CONTENT, BadInput, DualGANError, first_line
from dualgan.feed import stream
from dualgan.networks import VariableSpec, all_variables, depth, is_critic_variable
from dualgan.options import TrainOptions
from dualgan.run_folder import RunFolder, read_json, step_name, step_of, whole_folder, write_json
from dualgan.tensorflow_v1 import tf

PREFIX = "model"
_FILE_ENDING = re.compile(r"\.(index|meta|data-\d{5}-of-\d{5})$")


class Checkpoint(NamedTuple):
    """A checkpoint on disk. ``loss``: mean of A_loss + B_loss over the steps since the one before, None if unknown."""

    path: Path
    step: int
    loss: Optional[float]


class Checkpoints:
    """The checkpoints of one run folder. Create it after the graph is built and before it is finalized."""

    def __init__(self, folder: Path, keep: int) -> None:
        """keep: how many of the newest are kept; the one of the lowest loss is kept as well."""
        self._folder = folder
        self._keep = keep
        self._saver = tf.train.Saver(tf.global_variables(), max_to_keep=None)

    def save(self, session: Any, step: int, loss: Optional[float]) -> None:
        for unfinished in self._folder.glob(".unfinished-*"):
            shutil.rmtree(str(unfinished))
        with whole_folder(self._folder / step_name(step)) as folder:
            self._saver.save(session, str(folder / PREFIX), write_meta_graph=False, write_state=False)
            write_json(folder / "checkpoint.json", {"step": step, "loss": loss})
            for file in folder.iterdir():
                _flush_to_disk(file)
        _flush_to_disk(self._folder)
        found = saved_checkpoints(self._folder)
        best = min(found, key=lambda checkpoint: math.inf if checkpoint.loss is None else checkpoint.loss)
        for checkpoint in found[: -self._keep]:
            if checkpoint != best or best.loss is None:
                shutil.rmtree(str(checkpoint.path))

    def restore_newest(self, session: Any) -> Tuple[Optional[Checkpoint], List[str]]:
        """Load the newest checkpoint that is sound: it, or None, and a line on each that is not.

        Raises DualGANError if there are checkpoints but none can be read.
        """
        problems: List[str] = []
        damaged: List[Checkpoint] = []
        for checkpoint in reversed(saved_checkpoints(self._folder)):
            try:
                self._saver.restore(session, str(checkpoint.path / PREFIX))
            except (tf.errors.OpError, *OF_CONTENT) as error:
                problems.append(f"{checkpoint.path}: {first_line(error)[:200]}")
                damaged.append(checkpoint)
                continue
            for other in damaged:
                # It must not count among the newest that are kept.
                aside = other.path.with_name("unreadable-" + other.path.name)
                shutil.rmtree(str(aside), ignore_errors=True)
                os.replace(str(other.path), str(aside))
            return checkpoint, problems
        if problems:
            raise DualGANError("no checkpoint can be read: " + "; ".join(problems))
        return None, problems


def _flush_to_disk(path: Path) -> None:
    handle = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def saved_checkpoints(folder: Path) -> List[Checkpoint]:
    """The checkpoints in ``folder``, oldest first."""
    found = []
    for path in folder.iterdir() if folder.is_dir() else []:
        step = step_of(path.name)
        if step is None:
            continue
        try:
            loss = read_json(path / "checkpoint.json").get("loss")
        except (OSError, ValueError):
            loss = None
        found.append(Checkpoint(path, step, loss if isinstance(loss, float) and math.isfinite(loss) else None))
    return sorted(found, key=lambda checkpoint: checkpoint.step)


@contextmanager
def _reading(prefix: str, fault: str) -> Iterator[Any]:
    """Yield TensorFlow's reader of a checkpoint; its errors become BadInput that begins with ``fault``."""
    try:
        yield tf.train.load_checkpoint(prefix)
    # TensorFlow 2 raises RuntimeError for some damages.
    except (tf.errors.OpError, RuntimeError, *OF_CONTENT) as error:
        raise BadInput(f"{fault} ({first_line(error)[:200]})") from None


def newest_values(folder: Path, names: Container[str]) -> Tuple[int, Dict[str, Any]]:
    """Return the step of the newest checkpoint in ``folder`` and its tensors of ``names``.

    Raises BadInput if there is none, or if it is damaged.
    """
    found = saved_checkpoints(folder)
    if not found:
        raise BadInput(f"{folder}: no checkpoint; train first")
    with _reading(str(found[-1].path / PREFIX), f"{found[-1].path}: a damaged checkpoint") as reader:
        present = [name for name in reader.get_variable_to_shape_map() if name in names]
        return found[-1].step, {name: reader.get_tensor(name) for name in present}


def checkpoint_weights(place: str, options: TrainOptions) -> Dict[str, Any]:
    """The variables of all networks, by name, from the checkpoint at ``place`` (see checkpoint_prefix), in RGB order.

    Raises BadInput if there is no checkpoint, or if it lacks a variable or has one of another shape.
    """
    specs = all_variables(options)
    with _reading(checkpoint_prefix(place), f"--init_from {place}: no TensorFlow checkpoint") as reader:
        present, types = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        for spec in specs:
            found = present.get(spec.name)
            is_of_shape = found is not None and tuple(found) == spec.shape
            if not is_of_shape or types[spec.name] != tf.float32:
                kind = f" of {types[spec.name].name}" if is_of_shape else ""
                raise BadInput(
                    f"--init_from {place}: {spec.name} has shape {found}{kind}, not {list(spec.shape)}; give the "
                    "image_size, gcn, dcn, disc_type and channels that it was trained with"
                )
        values = {spec.name: reader.get_tensor(spec.name) for spec in specs}
    is_own = any(average_of(spec.name) in present for spec in specs)
    return values if is_own else {name: _to_rgb(name, value, options.image_size) for name, value in values.items()}


def initial_value(spec: VariableSpec, seed: int) -> Any:
    """float32 values of ``spec``'s shape and distribution."""
    random = stream(seed, "initial", spec.name)
    values = random.standard_normal(spec.shape)
    outside = np.abs(values) > 2
    while spec.truncated and outside.any():
        values[outside] = random.standard_normal(int(outside.sum()))
        outside = np.abs(values) > 2
    return (spec.mean + spec.stddev * values).astype(np.float32)


def initial_values(options: TrainOptions) -> Dict[str, Any]:
    """The weights before the first step, by name."""
    if options.init_from:
        return checkpoint_weights(options.init_from, options)
    return {spec.name: initial_value(spec, options.seed) for spec in all_variables(options)}


def average_of(variable: str) -> str:
    """The name of the slot that holds RMSProp's average of ``variable``."""
    return variable + ("/RMSProp_d" if is_critic_variable(variable) else "/RMSProp_g")


def _to_rgb(name: str, value: Any, image_size: int) -> Any:
    """Reverse the channel axis of what reads or writes colours: the first layers, and the generators' last."""
    layer, _, kind = name[len("A_g_") :].partition("/")
    takes_colours = layer in ("e1_conv", "h0_conv") and kind == "w"
    gives_colours = "_g_" in name and layer == f"d{depth(image_size)}"
    if takes_colours or (gives_colours and kind == "w"):
        return np.ascontiguousarray(value[:, :, ::-1])
    return np.ascontiguousarray(value[::-1]) if gives_colours else value


def checkpoint_prefix(place: str) -> str:
    """Return the prefix of the checkpoint at ``place``, of several the newest. Raises BadInput if a folder has none.

    place: a prefix; one of a checkpoint's files, such as PREFIX.index; or a folder: a run folder, its folder of
    checkpoints, one step of it, or one of the original.
    """
    folder = Path(place)
    if not folder.is_dir():
        return _FILE_ENDING.sub("", place)
    saved = saved_checkpoints(RunFolder(folder).checkpoints) or saved_checkpoints(folder)
    # Folders of samples are called as those of checkpoints are.
    steps = [step.path / PREFIX for step in saved if (step.path / f"{PREFIX}.index").is_file()]
    if steps:
        return str(steps[-1])
    # The original's own note of the newest holds the path of the folder that it was written to.
    dated = []
    for file in folder.glob("*.index"):
        # The step stands behind the name.
        digits = file.stem.rpartition("-")[2]
        dated.append((int(digits) if digits.isdecimal() else -1, file.stat().st_mtime, file))
    if not dated:
        raise BadInput(f"--init_from {place}: no checkpoint in this folder")
    return str(max(dated)[-1].with_suffix(""))
