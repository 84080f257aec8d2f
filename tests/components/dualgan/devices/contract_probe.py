"""Tried against the double of npu_bridge, on TensorFlow 1.15: prints its signatures and what it says to each attempt.

Each attempt is made on every chip.

Runs as a program of its own: importing npu_bridge changes TensorFlow for the whole process.
"""

import inspect
import json
import os
from typing import Any, Callable, Dict, List, Tuple

import tensorflow as tf
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session

# Nothing of RANK_ID, RANK_SIZE, JOB_ID and ASCEND_DEVICE_ID is set: with one card the adapter asks for none.
PLAIN_SESSIONS = [kind.__init__ for kind in (session.Session, session.InteractiveSession)]
from npu_bridge import npu_init
from npu_double import contract

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
def float16_throughout() -> None:
    open_session(config(precision_mode=("s", b"force_fp16")))


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
def a_step_to_dump_that_is_no_number() -> None:
    open_session(config(enable_dump=("b", True), dump_path=("s", b"/tmp"), dump_step=("s", b"one")))


@attempt
def overflows_of_the_cores_alone() -> None:
    dump = {"enable_dump_debug": ("b", True), "dump_path": ("s", b"/tmp")}
    open_session(config(dump_debug_mode=("s", b"aicore_overflow"), **dump))


@attempt
def debugging_with_a_compiler_cache() -> None:
    open_session(config(op_debug_level=("i", 1), op_compiler_cache_mode=("s", b"enable")))


@attempt
def a_card_below_the_first() -> None:
    open_session(config(session_device_id=("i", -1)))


@attempt
def a_key_of_cann_9() -> None:
    open_session(config(oo_level=("s", b"O3")))


@attempt
def a_key_that_cann_9_dropped() -> None:
    open_session(config(es_cluster_config=("s", b"")))


@attempt
def a_key_that_no_adapter_reads() -> None:
    open_session(config(const_input=("s", b"")))


@attempt
def several_cards() -> None:
    os.environ["RANK_SIZE"] = "8"
    open_session(config())


@attempt
def a_session_on_a_caller_s_configuration() -> None:
    made = tf.ConfigProto(log_device_placement=True, allow_soft_placement=False)
    try:
        tf.Session(config=made).close()
    except contract.ContractError:
        changed = made.allow_soft_placement and not made.log_device_placement
        raise RuntimeError("changed in place" if changed else "left as it was") from None


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


def answers(chip: str) -> Dict[str, str]:
    os.environ["NPU_BRIDGE_DOUBLE_CHIP"] = chip
    return {name: answer(function) for name, function in ATTEMPTS.items()}


FUNCTIONS = {
    "npu_config_proto": npu_init.npu_config_proto,
    "npu_tf_optimizer": npu_init.npu_tf_optimizer,
    "NPUDistributedOptimizer": npu_init.NPUDistributedOptimizer,
    "NPULossScaleOptimizer": npu_init.NPULossScaleOptimizer,
    "FixedLossScaleManager": npu_init.FixedLossScaleManager,
    "ExponentialUpdateLossScaleManager": npu_init.ExponentialUpdateLossScaleManager,
}

if __name__ == "__main__":
    sessions = [kind.__init__ for kind in (session.Session, session.InteractiveSession)]
    found = {
        "signatures": {name: signature(function) for name, function in FUNCTIONS.items()},
        "patches_sessions": [made is not plain for made, plain in zip(sessions, PLAIN_SESSIONS)],
        "keys": sorted(contract.fields_of_keys(contract.flavour())),
        "answers": {chip: answers(chip) for chip in contract.CHIPS},
    }
    print(json.dumps(found))
