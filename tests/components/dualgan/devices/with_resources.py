"""``python -m dualgan`` with resource variables on an NPU, which has reference variables by itself."""

import sys

from dualgan.cli import main
from dualgan.devices.npu import Npu

if __name__ == "__main__":
    Npu.use_resource = True
    sys.exit(main(sys.argv[1:]))
