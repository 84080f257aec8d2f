"""Huawei Ascend NPUs through the vendor's adapter, npu_bridge or npu_device."""

import ctypes
import importlib.util
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence

from dualgan import npu_smi
from dualgan.devices import npu_machine, npu_options
from dualgan.devices.base import Device
from dualgan.devices.npu_options import checked_mode, require_cann
from dualgan.errors import BadInput
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import RewriterConfig, tf

PACKAGES = ("npu_bridge", "npu_device")
STANDARD_OUTPUT = 1
# Every version prints the loader's error when its library does not load and goes on; this name is then missing.
LIBRARY_NAMES = ("npu_bridge_handle", "gen_npu_ops")


def find_adapter() -> str:
    """The name of the adapter's package in this Python; it is not imported. Raises BadInput if there is none."""
    package = next((name for name in PACKAGES if importlib.util.find_spec(name)), None)
    if package is None:
        raise BadInput(
            "--device npu: no npu_bridge in this Python (No module named 'npu_bridge'); use an Ascend image with "
            "TensorFlow 1.15, or with 2.6.5 and npu_device, and source its set_env.sh"
        )
    return package


def load_adapter(package: str) -> Any:
    """Import the adapter; return its module of functions for sessions and optimisers, npu_init.

    Raises BadInput, with the reason, if it does not load.
    """
    printed: List[str] = []
    try:
        with standard_output_caught(printed):
            npu_init = _import(package)
    # A library of CANN is missing (OSError, NotFoundError, NameError), or TensorFlow is another (AttributeError).
    except (ImportError, OSError, AttributeError, NameError, SystemExit, tf.errors.OpError) as error:
        raise BadInput(
            f"--device npu: {package} is in this Python but does not load ({_reason(error, printed)}); source CANN's "
            "set_env.sh, and see that the host's driver is mounted and the adapter fits this TensorFlow"
        ) from None
    sys.stderr.writelines(line + "\n" for line in printed)
    return npu_init


def _import(package: str) -> Any:
    if package == "npu_bridge":
        from npu_bridge import npu_init

        return npu_init
    import npu_device
    from npu_device.compat.v1 import npu_init as npu_init_of_version_1

    npu_device.compat.enable_v1()
    return npu_init_of_version_1


def _reason(error: BaseException, printed: List[str]) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    follows_from_library = any(name in lines[0] for name in LIBRARY_NAMES)
    return printed[-1] if printed and follows_from_library else "; ".join([lines[0]] + printed[-1:])


@contextmanager
def standard_output_caught(lines: List[str]) -> Iterator[None]:
    """Append what this process prints meanwhile to ``lines``, whether Python or a C library prints it."""
    sys.stdout.flush()
    with tempfile.TemporaryFile() as file:
        original = os.dup(STANDARD_OUTPUT)
        os.dup2(file.fileno(), STANDARD_OUTPUT)
        try:
            yield
        finally:
            sys.stdout.flush()
            ctypes.CDLL(None).fflush(None)
            os.dup2(original, STANDARD_OUTPUT)
            os.close(original)
            file.seek(0)
            text = file.read().decode("utf-8", "replace")
            lines.extend(line.strip() for line in text.splitlines() if line.strip())


OPTIMIZER = "NpuOptimizer"
# Each card has one; in a container npu-smi may be missing, this is not.
DEVICE_NODES, DEVICE_NODE = Path("/dev"), "davinci[0-9]*"
# A CANN that certainly knows ASCEND_WORK_PATH.
WORK_PATH_SINCE = (6, 3)
# As TensorFlow's own DynamicLossScale. The ports start at 2**32 and lose their first steps to it, silently.
DYNAMIC_LOSS_SCALE = {
    **{"init_loss_scale": 2**15, "incr_every_n_steps": 2000, "decr_every_n_nan_or_inf": 1},
    **{"incr_ratio": 2, "decr_ratio": 0.5},
}


class Npu(Device):
    """One Ascend 910 or newer card.

    Critics and generators update in two runs: each is then one compiled graph of static shapes. Variables are
    reference variables, as in every port to this hardware: the newest operators name no RMSProp for the other kind.
    """

    kind = "npu"
    one_run = False
    use_resource = False
    accepts = frozenset(["precision_mode", "loss_scale", "npu_parameters", "deterministic"])

    def __init__(self, options: TrainOptions) -> None:
        super().__init__(options)
        parameters = npu_options.parse_parameters(options.npu_parameters)
        self._loss_scale = loss_scale(options.loss_scale)
        self._package = find_adapter()
        npu_machine.prepare_single_card(os.environ)
        npu_machine.prepare_folders(os.environ)
        self._cann = npu_machine.installed()
        self._listing = npu_smi.listing() or npu_smi.Listing(None, [])
        self._card = self._listing.cards[0] if self._listing.cards else None
        if npu_smi.is_newer_than_910(self._card):
            os.environ.setdefault(npu_smi.HF32_VARIABLE, "0")
        self._npu_init = load_adapter(self._package)
        if not self._card and not list(DEVICE_NODES.glob(DEVICE_NODE)):
            raise BadInput(
                f"--device npu: {self._package} is here but no card: npu-smi lists none and there is no "
                f"{DEVICE_NODES}/{DEVICE_NODE}; give this container a card (huawei.com/Ascend910) and the host's driver"
            )
        if self._loss_scale is not None and not hasattr(self._npu_init, "NPULossScaleOptimizer"):
            raise BadInput(f"--loss_scale {self._loss_scale}: the adapter for TensorFlow 2.6.5 has none; leave it off")
        self._precision_mode = checked_mode(options.precision_mode, self._cann, self._card)
        hf32 = os.environ.get(npu_smi.HF32_VARIABLE) != "0"
        self.matmul_input_dtype = npu_smi.product_type(self._precision_mode, hf32)
        if self._cann.number is None or self._cann.number < WORK_PATH_SINCE:
            # CANN's own fallback is the current folder.
            parameters.setdefault("debug_dir", os.environ["ASCEND_WORK_PATH"])
        self._parameters = npu_options.check_parameters(parameters, self._cann, self._precision_mode, self._card)
        if options.deterministic:
            # The adapter has the key from its r1.12 on.
            require_cann("--deterministic", (6, 3), self._cann)

    def session_config(self) -> Any:
        config = super().session_config()
        options = config.graph_options.rewrite_options
        # Old adapters do not add it by themselves; new ones keep what is there.
        optimizer = options.custom_optimizers.add(name=OPTIMIZER)
        parameters = optimizer.parameter_map
        parameters["precision_mode"].s = self._precision_mode.encode()
        if self.options.deterministic:
            parameters["deterministic"].i = 1
        for key, value in self._parameters.items():
            field = npu_options.PARAMETERS[key].field
            setattr(parameters[key], field, value.encode() if isinstance(value, str) else value)
        config = self._npu_init.npu_config_proto(config)
        # TensorFlow's memory optimiser can abort the process on an NPU. The vendor writes RewriterConfig.OFF, which is
        # another enumeration's: as a MemOptType it reads MANUAL, and that leaves the optimiser on.
        config.graph_options.rewrite_options.memory_optimization = RewriterConfig.NO_MEM_OPT
        return config

    def wrap_optimizer(self, optimizer: Any) -> Any:
        if self._loss_scale is None:
            return self._npu_init.npu_tf_optimizer(optimizer)
        if self._loss_scale == "dynamic":
            manager = self._npu_init.ExponentialUpdateLossScaleManager(**DYNAMIC_LOSS_SCALE)
        else:
            manager = self._npu_init.FixedLossScaleManager(float(self._loss_scale), enable_overflow_check=True)
        return self._npu_init.NPULossScaleOptimizer(optimizer, manager)

    def gradients(self, optimizer: Any, loss: Any, values: Sequence[Any]) -> List[Any]:
        if self._loss_scale is None:
            return super().gradients(optimizer, loss, values)
        # The optimizer's own: it scales the loss, and the gradients back.
        pairs = optimizer.compute_gradients(loss, var_list=list(values))
        return [tf.zeros_like(value) if gradient is None else gradient for gradient, value in pairs]

    def describe(self) -> Dict[str, Any]:
        cards = self._listing.cards
        return {
            "kind": self.kind,
            "name": f"Ascend {self._card.name.replace('Ascend', '')}" if self._card else "Ascend NPU",
            "generation": npu_smi.generation(self._card),
            "memory_mebibytes": self._card.memory_mebibytes if self._card else None,
            "count": len(cards) or None,
            "health": cards[0].health if cards else None,
            "driver": self._cann.driver or self._listing.version,
            "cann": self._cann.version,
            "adapter": self._package,
            "products": self.matmul_input_dtype,
            "precision_mode": self._precision_mode,
            "loss_scale": self._loss_scale,
            "parameters": self._parameters,
        }


def loss_scale(text: str) -> Optional[str]:
    """None for "off", else ``text``: "dynamic" or a number from 1 up. Raises BadInput for anything else."""
    if text in ("off", "dynamic"):
        return None if text == "off" else text
    try:
        usable = 1 <= float(text) < float("inf")
    except ValueError:
        usable = False
    if not usable:
        raise BadInput(f"--loss_scale {text}: must be off, dynamic or a number from 1 up, such as 1024")
    return text
