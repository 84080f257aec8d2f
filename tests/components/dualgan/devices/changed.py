"""``python -m dualgan`` on an NPU that is changed: python changed.py resources|no-grappler ARGUMENTS."""

import sys
from typing import Any

from dualgan.cli import main
from dualgan.devices.npu import Npu

session_config = Npu.session_config


def without_grappler(device: Npu) -> Any:
    config = session_config(device)
    config.graph_options.rewrite_options.disable_meta_optimizer = True
    return config


if __name__ == "__main__":
    if sys.argv[1] == "resources":
        Npu.use_resource = True
    else:
        setattr(Npu, "session_config", without_grappler)  # noqa: B010
    sys.exit(main(sys.argv[2:]))
