"""Communication between cards; the double has one."""

from typing import Any

import tensorflow as tf


def allreduce(
    tensor: Any, reduction: Any, fusion: Any = 1, fusion_id: Any = -1, group: Any = "hccl_world_group"
) -> Any:
    if reduction not in ("max", "min", "prod", "sum"):
        raise ValueError("reduction {}: unknown".format(reduction))
    return tf.identity(tensor)
