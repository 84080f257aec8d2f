"""Huawei Ascend NPUs through the vendor's adapter, npu_bridge or npu_device."""

import os
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from dualgan.devices import cann, npu_adapter, npu_chip, npu_folders, npu_parameters, npu_smi, single_card
from dualgan.devices.device import DEFAULTS, Device, DeviceOptions
from dualgan.devices.npu_precision import checked_mode, require_cann
from dualgan.errors import BadInput
from dualgan.tensorflow_v1 import RewriterConfig, tf

OPTIMIZER = "NpuOptimizer"
# Each card has one; in a container npu-smi may be missing, this is not.
DEVICE_NODES, DEVICE_NODE = Path("/dev"), "davinci[0-9]*"
# A CANN that certainly knows ASCEND_WORK_PATH.
WORK_PATH_SINCE = (6, 3)
# As TensorFlow's own DynamicLossScale. The ports start at 2**32 and lose their first steps to it, silently.
DYNAMIC_LOSS_SCALE = {
    "init_loss_scale": 2**15,
    "incr_every_n_steps": 2000,
    "decr_every_n_nan_or_inf": 1,
    "incr_ratio": 2,
    "decr_ratio": 0.5,
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

    def __init__(self, threads: int = 0, options: DeviceOptions = DEFAULTS) -> None:
        super().__init__(threads, options)
        parameters = npu_parameters.parsed(options.npu_parameters)
        self._loss_scale = loss_scale(options.loss_scale)
        package = npu_adapter.find()
        single_card.prepare(os.environ)
        npu_folders.prepare(os.environ)
        self._cann = cann.installed()
        self._listing = npu_smi.listing() or npu_smi.Listing(None, [])
        self._card = self._listing.cards[0] if self._listing.cards else None
        if npu_chip.is_newer_than_910(self._card):
            os.environ.setdefault(npu_chip.HF32_VARIABLE, "0")
        self._adapter = npu_adapter.load(package)
        self._npu_init = self._adapter.npu_init
        if not self._card and not list(DEVICE_NODES.glob(DEVICE_NODE)):
            raise BadInput(
                f"--device npu: {self._adapter.package} is here but no card: npu-smi lists none and there is no {DEVICE_NODES}/{DEVICE_NODE}; give this "
                "container a card (huawei.com/Ascend910) and the host's driver"
            )
        if self._loss_scale is not None and not hasattr(self._npu_init, "NPULossScaleOptimizer"):
            raise BadInput(f"--loss_scale {self._loss_scale}: the adapter for TensorFlow 2.6.5 has none; leave it off")
        self._precision_mode = checked_mode(options.precision_mode, self._cann, self._card)
        hf32 = os.environ.get(npu_chip.HF32_VARIABLE) != "0"
        self.products = npu_chip.product_type(self._precision_mode, hf32)
        if self._cann.number is None or self._cann.number < WORK_PATH_SINCE:
            # CANN's own fallback is the current folder.
            parameters.setdefault("debug_dir", os.environ["ASCEND_WORK_PATH"])
        self._parameters = npu_parameters.checked(parameters, self._cann, self._precision_mode, self._card)
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
            field = npu_parameters.PARAMETERS[key].field
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
            "name": "Ascend {}".format(self._card.name.replace("Ascend", "")) if self._card else "Ascend NPU",
            "generation": npu_chip.generation(self._card),
            "memory_mebibytes": self._card.memory_mebibytes if self._card else None,
            "count": len(cards) or None,
            "health": cards[0].health if cards else None,
            "driver": self._cann.driver or self._listing.version,
            "cann": self._cann.version,
            "adapter": self._adapter.package,
            "products": self.products,
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
