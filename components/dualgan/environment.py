"""The environment of a training: Python, libraries and programs, what is recorded of them, and folders to write to."""

import importlib
import os
import platform
import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Union

from dualgan import __version__
from dualgan.errors import BadInput, first_line, printable, warn


class Library(NamedTuple):
    """A library beside TensorFlow. name: the package's; since: the oldest version that can be used."""

    name: str
    module: str
    since: str


# Since then filters are Image.Resampling's.
PILLOW = Library("pillow", "PIL", since="9.1")
LIBRARIES = (Library("numpy", "numpy", since="1.16"), PILLOW)
PROTOBUF_FAULT = "Descriptors cannot"
# What an import may raise: a broken installation raises errors of any kind, and a module may end the process.
BROKEN_IMPORT = (Exception, SystemExit)

# What changes the arithmetic, the speed or the card of a training, by name: others, such as TF_TOKEN_... or TF_VAR_...,
# may hold secrets, and a record is published.
RECORDED_VARIABLES = (
    *("TF_AUTO_MIXED_PRECISION_GRAPH_REWRITE_IGNORE_PERFORMANCE", "TF_AUTOTUNE_THRESHOLD", "TF_CPP_MIN_LOG_LEVEL"),
    *("TF_CUDNN_DETERMINISTIC", "TF_CUDNN_USE_AUTOTUNE", "TF_CUDNN_WORKSPACE_LIMIT_IN_MB", "TF_DETERMINISTIC_OPS"),
    *("TF_DISABLE_CUBLAS_TENSOR_OP_MATH", "TF_DISABLE_CUDNN_TENSOR_OP_MATH", "TF_DISABLE_MKL"),
    *("TF_ENABLE_AUTO_MIXED_PRECISION", "TF_ENABLE_CUBLAS_TENSOR_OP_MATH_FP32"),
    *("TF_ENABLE_CUDNN_TENSOR_OP_MATH_FP32", "TF_ENABLE_ONEDNN_OPTS", "TF_ENABLE_XLA"),
    *("TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_GPU_THREAD_COUNT", "TF_GPU_THREAD_MODE"),
    *("TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_USE_LEGACY_KERAS", "TF_XLA_FLAGS", "XLA_FLAGS"),
    *("CUDA_DEVICE_ORDER", "CUDA_LAUNCH_BLOCKING", "CUDA_MODULE_LOADING", "CUDA_VISIBLE_DEVICES"),
    *("CUBLAS_WORKSPACE_CONFIG", "NVIDIA_TENSORFLOW_VERSION", "NVIDIA_TF32_OVERRIDE", "NVIDIA_VISIBLE_DEVICES"),
    *("DNNL_MAX_CPU_ISA", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "KMP_AFFINITY", "KMP_BLOCKTIME"),
    *("MKL_CBWR", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "OMP_PROC_BIND", "OPENBLAS_NUM_THREADS"),
    *("ASCEND_AICPU_PATH", "ASCEND_CACHE_PATH", "ASCEND_DEVICE_ID", "ASCEND_GLOBAL_LOG_LEVEL", "ASCEND_HOME_PATH"),
    *("ASCEND_OPP_PATH", "ASCEND_RT_VISIBLE_DEVICES", "ASCEND_RUNTIME_OPTIONS", "ASCEND_SLOG_PRINT_TO_STDOUT"),
    *("ASCEND_VISIBLE_DEVICES", "ASCEND_WORK_PATH", "DEVICE_ID", "ENABLE_HF32_EXECUTION", "RANK_ID", "RANK_SIZE"),
)


def import_fault(error: BaseException) -> str:
    """Say in one line why a library could not be imported."""
    line = first_line(error)
    if PROTOBUF_FAULT in line:
        protobuf = version_of("google.protobuf")
        return f"protobuf {protobuf} is too new for it; install protobuf<3.21"
    return f"{line} ({type(error).__name__})"


def version_of(module: str) -> str:
    """Import ``module`` and return its version. Raises BadInput, with the reason, if that fails in any way."""
    try:
        return str(importlib.import_module(module).__version__)
    except BROKEN_IMPORT as error:
        raise BadInput(f"{module} cannot be imported: {import_fault(error)}") from error


def library_faults(libraries: Sequence[Library] = LIBRARIES) -> Iterator[str]:
    """Yield a line on each library that is missing, broken, or of a version that cannot be used."""
    for name, module, since in libraries:
        try:
            version = version_of(module)
        except BadInput as error:
            yield str(error)
        else:
            if _numbers(version) < _numbers(since):
                yield f"{name} {version} is too old: {since} or newer is needed; install {name}>={since}"


def _numbers(version: str) -> List[int]:
    return [int(digits) for digits in re.findall(r"\d+", version.partition("+")[0])[:3]]


def require_libraries(libraries: Sequence[Library] = LIBRARIES) -> None:
    """Raise BadInput, naming the first one, if a library cannot be used: its faults must not look like the data's."""
    for fault in library_faults(libraries):
        raise BadInput(f"{fault}; `dualgan doctor` lists what is here")


def recorded_environment(device: Dict[str, Any], tensorflow: str, git_commit: str) -> Dict[str, Any]:
    """Return what options.json says of this process. device: its description; tensorflow: its version."""
    return {
        "device": device,
        "dualgan": __version__,
        "tensorflow": tensorflow,
        "python": platform.python_version(),
        **{library.name: version_of(library.module) for library in LIBRARIES},
        "platform": platform.platform(),
        "git_commit": git_commit or None,
        "variables": {name: printable(os.environ[name]) for name in RECORDED_VARIABLES if name in os.environ},
    }


def default_cache_folder() -> Path:
    """Return the folder for what can be made again: XDG_CACHE_HOME's, else the home's; made if it is missing.

    If there is no home to write to, as for an unknown user of a container, it is a temporary folder, and a line on
    standard error says so.
    """
    base = Path(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"))
    folder = base / "dualgan"
    try:
        if not base.is_absolute():
            raise OSError(0, "no home folder is known")
        folder.mkdir(parents=True, exist_ok=True)
        if is_writable(folder):
            return folder
        reason = "cannot be written to"
    except OSError as error:
        reason = str(error.strerror)
    fallback = own_temporary_folder("dualgan-cache")
    warn(f"{folder}: {reason}; decoded images are kept in {fallback}, --cache-dir names another folder")
    return fallback


def is_writable(folder: Union[str, Path]) -> bool:
    """Return whether ``folder`` is one that this user may make files in."""
    return os.path.isdir(str(folder)) and os.access(str(folder), os.W_OK | os.X_OK)


def own_temporary_folder(name: str) -> Path:
    """Return this user's temporary folder of that name, the same in each process; made if it is missing.

    Raises BadInput if there is no temporary folder to write to.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"{name}-{os.getuid()}"
        folder.mkdir(mode=0o700, exist_ok=True)
        # Somebody else's folder of that name would decide what is read here.
        if folder.is_symlink() or folder.stat().st_uid != os.getuid() or not is_writable(folder):
            folder = Path(tempfile.mkdtemp(prefix=f"{name}-"))
    except OSError as error:
        raise BadInput(f"no folder for temporary files can be written to ({error}); set TMPDIR to one") from None
    return folder


def output_of(command: Sequence[str], seconds: float = 10.0) -> Optional[str]:
    """Return what ``command`` prints; None if it is missing, fails or takes longer than ``seconds``."""
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode("utf-8", "replace")
