"""Sessions and optimisers on the double: what the adapter asks is checked, and the graph then runs on the CPU."""

import os
from typing import Any, Callable, List

import tensorflow.compat.v1 as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session

from npu_double import contract

OPTIMIZER = "NpuOptimizer"
# Operations that cannot be part of a graph on the device (TensorFlow 1.15 migration guide, support limits).
HOST_OPERATIONS = {"PyFunc", "EagerPyFunc", "DecodeJpeg", "DecodePng", "DecodeImage", "ReadFile"}
TYPES_NOT_THERE = {"float64", "complex64", "complex128", "variant"}
# These run on the host, whatever types they have.
RUN_ON_THE_HOST = {"SaveV2", "RestoreV2", "MergeV2Checkpoints", "ShardedFilename", "StringJoin", "Pack", "Const"}


def npu_config_proto(config_proto: Any = None) -> Any:
    """The configuration, changed in place, as the adapter wants it."""
    config = config_proto if isinstance(config_proto, config_pb2.ConfigProto) else config_pb2.ConfigProto()
    _set_defaults(config, always_memory_optimization=not contract.flavour().patches_session)
    return config


def npu_close() -> None:
    """The card is left."""
    if "NPU_BRIDGE_DOUBLE_CLOSED" in os.environ:
        open(os.environ["NPU_BRIDGE_DOUBLE_CLOSED"], "w").close()


class NPUDistributedOptimizer(tf.train.Optimizer):
    def __init__(self, optimizer: Any, is_weight_update_sharding: Any = False, name: Any = None) -> None:
        if not isinstance(optimizer, tf.train.Optimizer):
            raise TypeError("{}: no tf.train.Optimizer".format(type(optimizer).__name__))
        self._optimizer = optimizer
        super().__init__(False, name or "Distributed{}".format(type(optimizer).__name__))

    def apply_gradients(self, *args: Any, **kwargs: Any) -> Any:
        if int(os.environ.get("RANK_SIZE", "1")) != 1:
            raise contract.ContractError("RANK_SIZE={}: the double has one card".format(os.environ["RANK_SIZE"]))
        return self._optimizer.apply_gradients(*args, **kwargs)


def npu_tf_optimizer(opt: Any) -> Any:
    return NPUDistributedOptimizer(opt)


def install() -> None:
    """Check every session from now on; once in a process."""
    if contract.state["installed"]:
        return
    contract.state["installed"] = True
    plain_init = session.BaseSession.__init__

    def checked_init(self: Any, target: str = "", graph: Any = None, config: Any = None) -> None:
        check_environment()
        check_config(config)
        self._npu_double_parameters = optimizers_of(config)[0].parameter_map
        plain_init(self, target, graph, _on_the_cpu(config))

    def checked(plain: Callable[..., Any]) -> Callable[..., Any]:
        def call(self: Any, *arguments: Any, **others: Any) -> Any:
            check_graph(self.graph)
            compile_operations(self._npu_double_parameters)
            return plain(self, *arguments, **others)

        return call

    session.BaseSession.__init__ = checked_init
    session.BaseSession.run = checked(session.BaseSession.run)
    session.BaseSession.make_callable = checked(session.BaseSession.make_callable)
    if contract.flavour().patches_session:
        for kind in (session.Session, session.InteractiveSession):
            kind.__init__ = _with_the_optimizer(kind.__init__)


def _with_the_optimizer(plain_init: Callable[..., None]) -> Callable[..., None]:
    """As adapters from r1.9.0 on: each session gets NpuOptimizer and its defaults, in its caller's configuration."""

    def patched_init(self: Any, target: str = "", graph: Any = None, config: Any = None) -> None:
        config = config or config_pb2.ConfigProto()
        _set_defaults(config, always_memory_optimization=False)
        plain_init(self, target, graph, config)

    return patched_init


def _set_defaults(config: Any, always_memory_optimization: bool) -> None:
    options = config.graph_options.rewrite_options
    added = not optimizers_of(config)
    if added:
        options.custom_optimizers.add().name = OPTIMIZER
    if added or always_memory_optimization:
        # The adapter's own slip: OFF is MANUAL here.
        options.memory_optimization = RewriterConfig.OFF
    config.allow_soft_placement = True
    config.log_device_placement = False
    options.remapping = RewriterConfig.OFF
    config.graph_options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF


def optimizers_of(config: Any) -> List[Any]:
    return [item for item in config.graph_options.rewrite_options.custom_optimizers if item.name == OPTIMIZER]


def check_environment() -> None:
    """The environment of one card. None of RANK_ID, RANK_SIZE, JOB_ID, ASCEND_DEVICE_ID has to be there."""
    if os.environ.get("RANK_SIZE", "1") != "1":
        raise contract.ContractError("RANK_SIZE={}: the double has one card".format(os.environ["RANK_SIZE"]))
    for name in ("RANK_TABLE_FILE", "CM_WORKER_SIZE", "CM_CHIEF_IP"):
        if name in os.environ:
            raise contract.ContractError("{} is set: the adapter would wait for other cards".format(name))


def check_config(config: Any) -> None:
    found = optimizers_of(config) if config is not None else []
    if len(found) != 1:
        raise contract.ContractError("a session with {} NpuOptimizers: needs one".format(len(found)))
    options = config.graph_options.rewrite_options
    if options.remapping != RewriterConfig.OFF:
        raise contract.ContractError("remapping is on: its fused operations clash with the NPU's own fusion")
    # RewriterConfig.OFF, which the vendor's examples write here, is MANUAL in this enumeration: it stays on.
    if options.memory_optimization != RewriterConfig.NO_MEM_OPT:
        raise contract.ContractError("memory_optimization is not NO_MEM_OPT: it can abort the process")
    is_off = config.graph_options.optimizer_options.global_jit_level == config_pb2.OptimizerOptions.OFF
    if not is_off or not config.allow_soft_placement:
        raise contract.ContractError("global_jit_level or allow_soft_placement: npu_config_proto was not asked")
    contract.check_parameters(found[0].parameter_map, contract.flavour())


def compile_operations(parameters: Any) -> None:
    """Write where CANN's compiler of operations writes, once in a process."""
    if contract.state["compiled"]:
        return
    contract.state["compiled"] = True
    known = os.environ.get("ASCEND_WORK_PATH", "") if contract.flavour().work_path else ""
    folder = (parameters["debug_dir"].s.decode() if "debug_dir" in parameters else "") or known or os.curdir
    os.makedirs(os.path.join(folder, "kernel_meta"), exist_ok=True)
    with open(os.path.join(folder, "fusion_result.json"), "w") as file:
        file.write("{}")


def check_graph(graph: Any) -> None:
    """Shapes known, types that the device has, and nothing that only the host can do; each graph version once."""
    seen = getattr(graph, "_npu_double_checked", -1)
    if graph.version == seen:
        return
    for operation in graph.get_operations():
        if operation.type in HOST_OPERATIONS or "Queue" in operation.type:
            raise contract.ContractError("{}: {} cannot run on the NPU".format(operation.name, operation.type))
        if operation.type in RUN_ON_THE_HOST:
            continue
        for tensor in operation.outputs:
            if tensor.dtype.base_dtype.name in TYPES_NOT_THERE:
                raise contract.ContractError("{}: the NPU has no {}".format(tensor.name, tensor.dtype.name))
            is_fed = operation.type == "Placeholder" and not operation.name.startswith("save/")
            if is_fed and not tensor.shape.is_fully_defined():
                raise contract.ContractError("{}: shape {} is not static".format(tensor.name, tensor.shape))
    graph._npu_double_checked = graph.version


def _on_the_cpu(config: Any) -> Any:
    """``config`` without the adapter's part of Grappler; the rest of Grappler runs, as it does before the adapter's."""
    plain = config_pb2.ConfigProto()
    plain.CopyFrom(config)
    del plain.graph_options.rewrite_options.custom_optimizers[:]
    return plain
