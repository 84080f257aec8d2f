"""Checkpoints: ``checkpoint/step-000100/`` holds TensorFlow's files and ``checkpoint.json``, whole or not at all.

All variables and both optimisers' slots are in TensorFlow's files, the step in checkpoint.json; what the data and
random numbers need is the step alone. TensorFlow's format carries a checksum of every tensor.
"""

import math
import os
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from dualgan.errors import OF_CONTENT, BadInput, DualGANError, first_line
from dualgan.run_folder import read_json, step_name, step_of, whole_folder, write_json
from dualgan.tensorflow_v1 import tf

PREFIX = "model"


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
        self._remove_old()

    def restore_newest(self, session: Any) -> Tuple[Optional[Checkpoint], List[str]]:
        """Load the newest checkpoint that is sound: it, or None, and a line on each that is not.

        Raises DualGANError if there are checkpoints but none can be read.
        """
        problems: List[str] = []
        found = saved_checkpoints(self._folder)
        for checkpoint in reversed(found):
            try:
                self._saver.restore(session, str(checkpoint.path / PREFIX))
                for damaged in found[found.index(checkpoint) + 1 :]:
                    _put_aside(damaged)
                return checkpoint, problems
            except (tf.errors.OpError, *OF_CONTENT) as error:
                problems.append(f"{checkpoint.path}: {first_line(error)[:200]}")
        if found:
            raise DualGANError("no checkpoint can be read: " + "; ".join(problems))
        return None, problems

    def _remove_old(self) -> None:
        found = saved_checkpoints(self._folder)
        known = [checkpoint for checkpoint in found if checkpoint.loss is not None]
        best = min(known, key=lambda checkpoint: checkpoint.loss or 0.0) if known else None
        for checkpoint in found[: -self._keep]:
            if checkpoint != best:
                shutil.rmtree(str(checkpoint.path))


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


def newest_values(folder: Path, wanted: Callable[[str], bool]) -> Tuple[int, Dict[str, Any]]:
    """Return the step of the newest checkpoint in ``folder`` and its tensors whose names are ``wanted``.

    Raises BadInput if there is none, or if it is damaged.
    """
    found = saved_checkpoints(folder)
    if not found:
        raise BadInput(f"{folder}: no checkpoint; train first")
    try:
        reader = tf.train.load_checkpoint(str(found[-1].path / PREFIX))
        names = [name for name in reader.get_variable_to_shape_map() if wanted(name)]
        return found[-1].step, {name: reader.get_tensor(name) for name in names}
    except (tf.errors.OpError, RuntimeError, *OF_CONTENT) as error:
        raise BadInput(f"{found[-1].path}: a damaged checkpoint ({first_line(error)[:200]})") from None


def _put_aside(damaged: Checkpoint) -> None:
    """Rename a checkpoint that cannot be read: it must not count among the newest that are kept."""
    target = damaged.path.with_name("unreadable-" + damaged.path.name)
    shutil.rmtree(str(target), ignore_errors=True)
    os.replace(str(damaged.path), str(target))


def _flush_to_disk(path: Path) -> None:
    handle = os.open(str(path), os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
