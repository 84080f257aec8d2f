"""python -m components.compare: the same as `parity compare`."""

import sys

from parity.cli import main

if __name__ == "__main__":
    sys.exit(main(["compare", *sys.argv[1:]]))
