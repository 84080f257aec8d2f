"""Huawei Ascend NPUs through the vendor's adapter, npu_bridge or npu_device, and the CANN of this machine."""

import ctypes
import importlib
import importlib.util
import os
import re
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Dict, Iterator, List, MutableMapping, Sequence

from dualgan import npu_smi
from dualgan.devices import Device, npu_options
from dualgan.devices.npu_options import Cann
from dualgan.environment import is_writable, own_temporary_folder
from dualgan.errors import BadInput
from dualgan.options import TrainOptions
from dualgan.tensorflow_v1 import RewriterConfig, tf

# The adapters, and in each the module of functions for sessions and optimisers.
PACKAGES = {"npu_bridge": "npu_bridge.npu_init", "npu_device": "npu_device.compat.v1.npu_init"}
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
            npu_init = importlib.import_module(PACKAGES[package])
            if package == "npu_device":
                sys.modules[package].compat.enable_v1()
    # A library of CANN is missing (OSError, NotFoundError, NameError), or TensorFlow is another (AttributeError).
    except (ImportError, OSError, AttributeError, NameError, SystemExit, tf.errors.OpError) as error:
        raise BadInput(
            f"--device npu: {package} is in this Python but does not load ({_reason(error, printed)}); source CANN's "
            "set_env.sh, and see that the host's driver is mounted and the adapter fits this TensorFlow"
        ) from None
    sys.stderr.writelines(line + "\n" for line in printed)
    return npu_init


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


# Where CANN lies if not where its installers put it.
ROOT_VARIABLE = "DUALGAN_ASCEND_ROOT"
DEFAULT_ROOT = "/usr/local/Ascend"
DRIVER_INSTALL_INFO = "/etc/ascend_install.info"
# Folders of an installation: toolkit or nnae up to CANN 8, cann from then on; the newest one that is linked first.
INSTALLATIONS = (
    *("ascend-toolkit/latest", "nnae/latest", "cann"),
    *("ascend-toolkit/[0-9]*", "nnae/[0-9]*", "cann-[0-9]*"),
)
INFO_FILES = ("ascend_*_install.info", "*-linux/ascend_*_install.info")


def installed() -> Cann:
    """Return the versions of CANN and driver that are installed on this machine, or in this container."""
    override = os.environ.get(ROOT_VARIABLE)
    root = Path(override or DEFAULT_ROOT)
    told = None if override else _entries(Path(DRIVER_INSTALL_INFO)).get("driver_install_path_param")
    driver = _entries(Path(told or root) / "driver" / "version.info").get("version")
    found = (path for pattern in INSTALLATIONS for path in sorted(root.glob(pattern), reverse=True) if path.is_dir())
    for installation in found:
        infos = (file for pattern in INFO_FILES for file in sorted(installation.glob(pattern)))
        # A folder may hold nothing but its name: ascend-toolkit/latest -> 5.0.4.alpha005, cann -> cann-8.5.0.
        name = re.sub("^cann-", "", installation.resolve().name)
        version = next(filter(None, (_entries(file).get("version") for file in infos)), name)
        if version is not name or name[0].isdecimal():
            return Cann(version, driver, root)
    return Cann(None, driver, root)


def _entries(file: Path) -> Dict[str, str]:
    """The lines NAME=VALUE of a file, names in lower case; {} if it cannot be read."""
    try:
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return {}
    pairs = (line.partition("=") for line in lines if "=" in line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


# The adapter and the ports of DualGAN read these; any job number will do.
CARD_DEFAULTS = {"RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087"}
# They describe a cluster of cards. With them the adapter waits for the others, or refuses to start beside RANK_SIZE.
OF_SEVERAL_CARDS = (
    *("RANK_TABLE_FILE", "CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE"),
    *("CM_WORKER_IP", "CM_WORKER_SIZE"),
)
# The folders that the compiler of operations works in, and keeps what it made in for the next process.
FOLDER_VARIABLES = ("ASCEND_WORK_PATH", "ASCEND_CACHE_PATH")


def prepare_environment(environment: MutableMapping[str, str]) -> None:
    """Make ``environment`` that of one card, before npu_bridge is imported, and name folders for CANN's files.

    CANN 5.0 knows none of FOLDER_VARIABLES and writes ``kernel_meta`` into the current folder, newer ones others: a
    current folder that is read-only is left.

    Raises:
        BadInput: If it asks for several cards, for gradients would then be averaged with processes that are not there;
            if a folder that it names cannot be written to, or if there is none to write to.
    """
    for name in ("RANK_SIZE", "CM_WORKER_SIZE"):
        size = environment.get(name, "1").strip()
        if size != "1":
            raise BadInput(f"--device npu: {name}={size}, but a training uses one card; unset it")
    for name in OF_SEVERAL_CARDS:
        environment.pop(name, None)
    for name, value in CARD_DEFAULTS.items():
        environment.setdefault(name, value)
    # DEVICE_ID is a physical number, which the adapter turns into a logical one unless it is given ASCEND_DEVICE_ID.
    if "DEVICE_ID" not in environment:
        environment.setdefault("ASCEND_DEVICE_ID", "0")
    own = str(own_temporary_folder("dualgan-ascend"))
    for name in FOLDER_VARIABLES:
        environment[name] = environment.get(name) or own
        if not is_writable(environment[name]):
            raise BadInput(f"--device npu: {name}={environment[name]}: no folder that this user may write to")
    if not is_writable(os.curdir):
        os.chdir(own)


OPTIMIZER = "NpuOptimizer"
# Factors of convolutions in HF32, float32 with 11 bits behind the point, unless it is "0".
HF32_VARIABLE = "ENABLE_HF32_EXECUTION"
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
        self._loss_scale = None if options.loss_scale == "off" else options.loss_scale
        self._package = find_adapter()
        prepare_environment(os.environ)
        self._cann = installed()
        self._listing = npu_smi.listing()
        self._card = self._listing.cards[0] if self._listing.cards else None
        if npu_options.is_newer_than_910(self._card):
            os.environ.setdefault(HF32_VARIABLE, "0")
        self._npu_init = load_adapter(self._package)
        if not self._card and not list(DEVICE_NODES.glob(DEVICE_NODE)):
            raise BadInput(
                f"--device npu: {self._package} is here but no card: npu-smi lists none and there is no "
                f"{DEVICE_NODES}/{DEVICE_NODE}; give this container a card (huawei.com/Ascend910) and the host's driver"
            )
        if self._loss_scale is not None and not hasattr(self._npu_init, "NPULossScaleOptimizer"):
            raise BadInput(f"--loss_scale {self._loss_scale}: the adapter for TensorFlow 2.6.5 has none; leave it off")
        self._precision_mode = npu_options.checked_mode(options.precision_mode, self._cann, self._card)
        hf32 = os.environ.get(HF32_VARIABLE) != "0"
        self.matmul_input_dtype = npu_options.product_type(self._precision_mode, hf32)
        if self._cann.number is None or self._cann.number < WORK_PATH_SINCE:
            # CANN's own fallback is the current folder.
            parameters.setdefault("debug_dir", os.environ["ASCEND_WORK_PATH"])
        self._parameters = npu_options.check_parameters(parameters, self._cann, self._precision_mode, self._card)
        if options.deterministic:
            # The adapter has the key from its r1.12 on.
            self._cann.require("--deterministic", (6, 3))

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
            "generation": npu_options.generation(self._card),
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
