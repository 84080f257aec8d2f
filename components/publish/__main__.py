"""python -m components.publish: the same as `parity publish`."""

import sys

from parity.cli import main

if __name__ == "__main__":
    sys.exit(main(["publish", *sys.argv[1:]]))
