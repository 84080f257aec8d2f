"""The environment of a training on one Ascend card."""

from typing import MutableMapping

from dualgan.errors import BadInput

# The adapter and the ports of DualGAN read these; any job number will do.
DEFAULTS = {"RANK_ID": "0", "RANK_SIZE": "1", "JOB_ID": "10087"}
SIZES = ("RANK_SIZE", "CM_WORKER_SIZE")
# They describe a cluster of cards. With them the adapter waits for the others, or refuses to start beside RANK_SIZE.
OF_SEVERAL_CARDS = (
    *("RANK_TABLE_FILE", "CM_CHIEF_IP", "CM_CHIEF_PORT", "CM_CHIEF_DEVICE"),
    *("CM_WORKER_IP", "CM_WORKER_SIZE"),
)


def prepare(environment: MutableMapping[str, str]) -> None:
    """Make ``environment`` that of one card, before npu_bridge is imported.

    Raises BadInput where it asks for several: gradients would then be averaged with processes that are not there.
    """
    for name in SIZES:
        size = environment.get(name, "1").strip()
        if size != "1":
            raise BadInput(f"--device npu: {name}={size}, but a training uses one card; unset it")
    for name in OF_SEVERAL_CARDS:
        environment.pop(name, None)
    for name, value in DEFAULTS.items():
        environment.setdefault(name, value)
    # DEVICE_ID is a physical number, which the adapter turns into a logical one unless it is given ASCEND_DEVICE_ID.
    if "DEVICE_ID" not in environment:
        environment.setdefault("ASCEND_DEVICE_ID", "0")
