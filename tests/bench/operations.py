"""Which kinds of operations a training step spends its time with, on one thread. Python 3.7, either TensorFlow."""

import time
from typing import Any, Callable, Dict, List

from dualgan.tensorflow_v1 import tf

PRODUCTS = ("Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "MatMul")
UPDATES = ("ResourceApplyRMSProp",)
COPIES = ("ConcatV2", "DepthToSpace", "GatherV2", "Pad", "Slice", "SpaceToDepth", "StridedSlice", "Tile", "Transpose")
# In the order of the table's columns; what is in none of them goes over activations, or sums them up.
KINDS = ("products", "updates", "copies", "activations", "between")
TRACED_STEPS = 5


def seconds_by_kind(graph: Any, run: Callable[[Any, Any], Any]) -> Dict[str, float]:
    """Return the seconds that each of KINDS takes in a step; "between" is what no operation takes.

    Of each operation the fastest of TRACED_STEPS counts.

    Args:
        graph: The graph of the step.
        run: Does one step with tf.RunOptions and tf.RunMetadata.
    """
    fastest: Dict[str, float] = {}
    steps: List[float] = []
    for _ in range(TRACED_STEPS):
        began = time.perf_counter()
        run(None, None)
        steps.append(time.perf_counter() - began)
        found = tf.RunMetadata()
        run(tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE), found)
        # TensorFlow 1.15 lists some operations a second time, as those of the host.
        (stats,) = (stats for stats in found.step_stats.dev_stats if "/device:" in stats.device)
        for one in stats.node_stats:
            seconds = (one.op_end_rel_micros - one.op_start_rel_micros) * 1e-6
            fastest[one.node_name] = min(seconds, fastest.get(one.node_name, seconds))
    types = {operation.name: operation.type for operation in graph.get_operations()}
    spent = dict.fromkeys(KINDS, 0.0)
    for name, seconds in fastest.items():
        spent[_kind(types.get(name.partition(":")[0], ""))] += seconds
    spent["between"] = max(0.0, min(steps) - sum(spent.values()))
    return spent


def _kind(operation: str) -> str:
    kinds = (("products", PRODUCTS), ("updates", UPDATES), ("copies", COPIES))
    return next((kind for kind, types in kinds if operation in types), "activations")
