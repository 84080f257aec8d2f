"""What `from npu_bridge.npu_init import *` gives, and does."""

import atexit
import os
from typing import Any

import tensorflow as tf
from tensorflow.core.protobuf import config_pb2
from tensorflow.core.protobuf.rewriter_config_pb2 import RewriterConfig
from tensorflow.python.client import session

from npu_bridge import contract, cube, sessions
from npu_bridge.estimator import npu_ops
from npu_bridge.estimator.npu import npu_scope, util
from npu_bridge.estimator.npu.npu_config import DumpConfig, ProfilingConfig
from npu_bridge.estimator.npu.npu_loss_scale_manager import ExponentialUpdateLossScaleManager, FixedLossScaleManager
from npu_bridge.estimator.npu.npu_loss_scale_optimizer import NPULossScaleOptimizer
from npu_bridge.estimator.npu.npu_optimizer import NPUDistributedOptimizer, NPUOptimizer
from npu_bridge.estimator.npu.npu_plugin import npu_close
from npu_bridge.hccl import hccl_ops

__all__ = [
    "DumpConfig",
    "ExponentialUpdateLossScaleManager",
    "FixedLossScaleManager",
    "NPUDistributedOptimizer",
    "NPULossScaleOptimizer",
    "NPUOptimizer",
    "ProfilingConfig",
    "RewriterConfig",
    "close_session",
    "config_pb2",
    "hccl_ops",
    "init_resource",
    "npu_config_proto",
    "npu_graph_options",
    "npu_ops",
    "npu_optimizer_options",
    "npu_scope",
    "npu_tf_optimizer",
    "os",
    "session",
    "shutdown_resource",
    "tf",
    "util",
]

atexit.register(npu_close)
sessions.install()
cube.install()


def npu_config_proto(config_proto: Any = None) -> Any:
    config = config_proto if isinstance(config_proto, config_pb2.ConfigProto) else config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    added = not sessions.optimizers_of(config)
    if added:
        options.custom_optimizers.add().name = sessions.OPTIMIZER
    config.allow_soft_placement = True
    config.log_device_placement = False
    options.remapping = RewriterConfig.OFF
    if added or not contract.flavour().newer_keys:
        # The adapter's own slip: OFF is MANUAL here.
        options.memory_optimization = RewriterConfig.OFF
    config.graph_options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
    return config


def npu_graph_options(graph_options: Any = None) -> Any:
    options = graph_options if isinstance(graph_options, config_pb2.GraphOptions) else config_pb2.GraphOptions()
    options.optimizer_options.global_jit_level = config_pb2.OptimizerOptions.OFF
    return options


def npu_optimizer_options(optimizer_options: Any = None) -> Any:
    known = isinstance(optimizer_options, config_pb2.OptimizerOptions)
    options = optimizer_options if known else config_pb2.OptimizerOptions()
    options.global_jit_level = config_pb2.OptimizerOptions.OFF
    return options


def npu_tf_optimizer(opt: Any) -> Any:
    return NPUDistributedOptimizer(opt)


def init_resource(config: Any = None) -> Any:
    made = session.Session(config=npu_config_proto(config))
    made.run(npu_ops.initialize_system())
    return made, npu_ops.shutdown_system()


def shutdown_resource(sess: Any, npu_shutdown: Any) -> None:
    sess.run(npu_shutdown)


def close_session(sess: Any) -> None:
    sess.close()
