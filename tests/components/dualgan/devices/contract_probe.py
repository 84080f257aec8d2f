"""Tried against the double of npu_bridge, on TensorFlow 1.15: prints its signatures and what it says to each attempt.

Runs as a program of its own: importing npu_bridge changes TensorFlow for the whole process.
"""

import inspect
import json
import os
from typing import Any, Callable, Dict, List, Tuple

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session

for variable in ("RANK_ID", "RANK_SIZE", "ASCEND_DEVICE_ID", "JOB_ID"):
    os.environ[variable] = "1" if variable == "RANK_SIZE" else "0"
PLAIN_SESSION = session.Session.__init__
from npu_bridge import npu_init

ATTEMPTS: Dict[str, Callable[[], Any]] = {}


def attempt(function: Callable[[], Any]) -> Callable[[], Any]:
    ATTEMPTS[function.__name__] = function
    return function


def config(**parameters: Tuple[str, Any]) -> Any:
    """What a careful program hands to a session; parameters: field and value of a key."""
    made = tf.ConfigProto()
    optimizer = made.graph_options.rewrite_options.custom_optimizers.add(name="NpuOptimizer")
    optimizer.parameter_map["precision_mode"].s = b"force_fp32"
    for key, (field, value) in parameters.items():
        setattr(optimizer.parameter_map[key], field, value)
    made = npu_init.npu_config_proto(made)
    made.graph_options.rewrite_options.memory_optimization = RewriterConfig.NO_MEM_OPT
    return made


def open_session(made: Any) -> None:
    tf.Session(config=made).close()


def run(build: Callable[[], Any]) -> None:
    fetched = build()
    with tf.Session(config=config()) as opened:
        opened.run(fetched)


@attempt
def a_careful_session() -> None:
    open_session(config(graph_memory_max_size=("s", b"8 * 1024 * 1024 * 1024"), op_debug_level=("i", 0)))


@attempt
def a_session_without_a_configuration() -> None:
    tf.Session().close()


@attempt
def an_unknown_key() -> None:
    open_session(config(over_dump=("b", True)))


@attempt
def a_string_in_the_field_of_numbers() -> None:
    open_session(config(graph_memory_max_size=("i", 8 * 1024**3)))


@attempt
def an_unknown_precision_mode() -> None:
    open_session(config(precision_mode=("s", b"allow_mixed_precision")))


@attempt
def no_precision_mode() -> None:
    made = config()
    del made.graph_options.rewrite_options.custom_optimizers[0].parameter_map["precision_mode"]
    open_session(made)


@attempt
def a_newer_precision_mode() -> None:
    open_session(config(precision_mode=("s", b"cube_fp16in_fp32out")))


@attempt
def float32_convolutions() -> None:
    open_session(config(precision_mode=("s", b"must_keep_origin_dtype")))


@attempt
def deterministic() -> None:
    open_session(config(deterministic=("i", 1)))


@attempt
def dump_of_tensors_and_of_overflows() -> None:
    dump = {"enable_dump": ("b", True), "enable_dump_debug": ("b", True), "dump_path": ("s", b"/tmp")}
    open_session(config(**dump))


@attempt
def a_dump_into_no_folder() -> None:
    open_session(config(enable_dump=("b", True), dump_path=("s", b"/no/such/folder")))


@attempt
def a_loop_without_a_dataset() -> None:
    open_session(config(iterations_per_loop=("i", 10)))


@attempt
def remapping() -> None:
    made = config()
    made.graph_options.rewrite_options.remapping = RewriterConfig.ON
    session.BaseSession(config=made)


@attempt
def memory_optimization_as_the_vendor_writes_it() -> None:
    made = config()
    made.graph_options.rewrite_options.memory_optimization = RewriterConfig.OFF
    open_session(made)


@attempt
def two_optimizers() -> None:
    made = config()
    made.graph_options.rewrite_options.custom_optimizers.add(name="NpuOptimizer")
    open_session(made)


@attempt
def no_rank_size() -> None:
    del os.environ["RANK_SIZE"]
    open_session(config())


@attempt
def a_table_of_ranks() -> None:
    os.environ["RANK_TABLE_FILE"] = "/etc/hccl.json"
    open_session(config())


@attempt
def an_unknown_shape() -> None:
    run(lambda: tf.placeholder_with_default(tf.placeholder(tf.float32, [None]), [None]))


@attempt
def python_in_the_graph() -> None:
    run(lambda: tf.py_func(lambda: 1.0, [], tf.float32))


@attempt
def float64() -> None:
    run(lambda: tf.zeros([2], tf.float64) + 1)


@attempt
def a_graph_of_float32() -> None:
    run(lambda: tf.matmul(tf.ones([2, 2]), tf.ones([2, 2])))


@attempt
def a_loop_over_a_tensor() -> None:
    with tf.Session(config=config()) as opened:
        npu_init.util.set_iteration_per_loop(opened, tf.constant(1.0), 10)


@attempt
def a_loop_of_no_steps() -> None:
    with tf.Session(config=config()) as opened:
        npu_init.util.set_iteration_per_loop(opened, tf.no_op(), 0)


@attempt
def one_loop() -> None:
    with tf.Session(config=config()) as opened:
        assert npu_init.util.set_iteration_per_loop(opened, tf.no_op(), 10).name == "IterationOp"


@attempt
def a_second_loop() -> None:
    with tf.Session(config=config()) as opened:
        for _ in range(2):
            npu_init.util.set_iteration_per_loop(opened, tf.no_op(), 10)


@attempt
def a_wrapper_of_no_optimizer() -> None:
    npu_init.npu_tf_optimizer("adam")


@attempt
def a_manager_inside_control_dependencies() -> None:
    with tf.control_dependencies([tf.no_op()]):
        npu_init.ExponentialUpdateLossScaleManager(2**15, 2000)


@attempt
def a_scaled_optimizer_for_gradients_of_the_plain_loss() -> None:
    variable = tf.get_variable("v", [2], tf.float32, tf.zeros_initializer())
    plain = tf.train.GradientDescentOptimizer(0.1)
    scaled = npu_init.NPULossScaleOptimizer(plain, npu_init.FixedLossScaleManager(1024.0))
    scaled.apply_gradients([(tf.gradients(variable, variable)[0], variable)])


@attempt
def keep_probability_zero() -> None:
    npu_init.npu_ops.dropout(tf.ones([2]), 0)


def answer(function: Callable[[], Any]) -> str:
    """ "accepted", or the error's type and words. Each attempt has its own graph and the same environment."""
    environment = dict(os.environ)
    try:
        with tf.Graph().as_default():
            function()
        return "accepted"
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    finally:
        os.environ.clear()
        os.environ.update(environment)


def signature(function: Any) -> List[List[str]]:
    """Names of the parameters and their defaults, "" where there is none."""
    parameters = inspect.signature(function).parameters.values()
    return [[p.name, "" if p.default is p.empty else repr(p.default)] for p in parameters if p.name != "self"]


FUNCTIONS = {
    "npu_config_proto": npu_init.npu_config_proto,
    "npu_tf_optimizer": npu_init.npu_tf_optimizer,
    "npu_graph_options": npu_init.npu_graph_options,
    "npu_optimizer_options": npu_init.npu_optimizer_options,
    "init_resource": npu_init.init_resource,
    "shutdown_resource": npu_init.shutdown_resource,
    "close_session": npu_init.close_session,
    "initialize_system": npu_init.npu_ops.initialize_system,
    "shutdown_system": npu_init.npu_ops.shutdown_system,
    "dropout": npu_init.npu_ops.dropout,
    "allreduce": npu_init.hccl_ops.allreduce,
    "set_iteration_per_loop": npu_init.util.set_iteration_per_loop,
    "NPUDistributedOptimizer": npu_init.NPUDistributedOptimizer,
    "NPUOptimizer": npu_init.NPUOptimizer,
    "NPULossScaleOptimizer": npu_init.NPULossScaleOptimizer,
    "FixedLossScaleManager": npu_init.FixedLossScaleManager,
    "ExponentialUpdateLossScaleManager": npu_init.ExponentialUpdateLossScaleManager,
    "DumpConfig": npu_init.DumpConfig,
    "ProfilingConfig": npu_init.ProfilingConfig,
}

if __name__ == "__main__":
    found = {
        "signatures": {name: signature(function) for name, function in FUNCTIONS.items()},
        "patches_session": session.Session.__init__ is not PLAIN_SESSION,
        "answers": {name: answer(function) for name, function in ATTEMPTS.items()},
    }
    print(json.dumps(found))
