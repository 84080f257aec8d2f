"""Which operations of a graph a run needs."""

from typing import Any, List, Sequence, Set


def operations_behind(fetches: Sequence[Any]) -> List[Any]:
    """Every operation that running ``fetches`` (operations or tensors) needs."""
    waiting = [getattr(fetch, "op", fetch) for fetch in fetches]
    seen: Set[Any] = set()
    while waiting:
        operation = waiting.pop()
        if operation in seen:
            continue
        seen.add(operation)
        waiting.extend(tensor.op for tensor in operation.inputs)
        waiting.extend(operation.control_inputs)
    return list(seen)
