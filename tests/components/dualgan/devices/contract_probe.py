"""Tried against the double of npu_bridge, on TensorFlow 1.15: prints what it says to each attempt.

Each attempt is made on every chip.

Runs as a program of its own: importing npu_bridge changes TensorFlow for the whole process.
"""

import json
import os
from functools import partial
from typing import Any, Callable, Dict, Tuple

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


# Parameters of a session: field and value of each key.
SESSIONS: Dict[str, Dict[str, Tuple[str, Any]]] = {
    "a_careful_session": {"graph_memory_max_size": ("s", b"8 * 1024 * 1024 * 1024"), "op_debug_level": ("i", 0)},
    "an_unknown_key": {"over_dump": ("b", True)},
    "a_string_in_the_field_of_numbers": {"graph_memory_max_size": ("i", 8 * 1024**3)},
    "an_unknown_precision_mode": {"precision_mode": ("s", b"allow_mixed_precision")},
    "a_newer_precision_mode": {"precision_mode": ("s", b"cube_fp16in_fp32out")},
    "float32_convolutions": {"precision_mode": ("s", b"must_keep_origin_dtype")},
    "float16_throughout": {"precision_mode": ("s", b"force_fp16")},
    "deterministic": {"deterministic": ("i", 1)},
    "a_dump_into_no_folder": {"enable_dump": ("b", True), "dump_path": ("s", b"/no/such/folder")},
    "a_step_to_dump_that_is_no_number": {
        "enable_dump": ("b", True),
        "dump_path": ("s", b"/tmp"),
        "dump_step": ("s", b"one"),
    },
    "debugging_with_a_compiler_cache": {"op_debug_level": ("i", 1), "op_compiler_cache_mode": ("s", b"enable")},
    "a_card_below_the_first": {"session_device_id": ("i", -1)},
    "a_key_of_cann_9": {"oo_level": ("s", b"O3")},
    "a_key_that_cann_9_dropped": {"es_cluster_config": ("s", b"")},
    "a_key_that_no_adapter_reads": {"const_input": ("s", b"")},
    "dump_of_tensors_and_of_overflows": {
        "enable_dump": ("b", True),
        "enable_dump_debug": ("b", True),
        "dump_path": ("s", b"/tmp"),
    },
    "overflows_of_the_cores_alone": {
        "dump_debug_mode": ("s", b"aicore_overflow"),
        "enable_dump_debug": ("b", True),
        "dump_path": ("s", b"/tmp"),
    },
}
GRAPHS: Dict[str, Callable[[], Any]] = {
    "an_unknown_shape": lambda: tf.placeholder_with_default(tf.placeholder(tf.float32, [None]), [None]),
    "python_in_the_graph": lambda: tf.py_func(lambda: 1.0, [], tf.float32),
    "float64": lambda: tf.zeros([2], tf.float64) + 1,
    "a_graph_of_float32": lambda: tf.matmul(tf.ones([2, 2]), tf.ones([2, 2])),
}


def open_configured(parameters: Dict[str, Tuple[str, Any]]) -> None:
    open_session(config(**parameters))


ATTEMPTS.update({name: partial(open_configured, parameters) for name, parameters in SESSIONS.items()})
ATTEMPTS.update({name: partial(run, build) for name, build in GRAPHS.items()})


@attempt
def a_session_without_a_configuration() -> None:
    tf.Session().close()


@attempt
def no_precision_mode() -> None:
    made = config()
    del made.graph_options.rewrite_options.custom_optimizers[0].parameter_map["precision_mode"]
    open_session(made)


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


def answers(chip: str) -> Dict[str, str]:
    os.environ["NPU_BRIDGE_DOUBLE_CHIP"] = chip
    return {name: answer(function) for name, function in ATTEMPTS.items()}


if __name__ == "__main__":
    sessions = [kind.__init__ for kind in (session.Session, session.InteractiveSession)]
    found = {
        "patches_sessions": [made is not plain for made, plain in zip(sessions, PLAIN_SESSIONS)],
        "keys": sorted(contract.fields_of_keys(contract.flavour())),
        "answers": {chip: answers(chip) for chip in contract.CHIPS},
    }
    print(json.dumps(found))
