"""python -m components.dataset: the same as `parity dataset`."""

import sys

from parity.cli import main

if __name__ == "__main__":
    sys.exit(main(["dataset", *sys.argv[1:]]))
