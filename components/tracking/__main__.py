"""python -m components.tracking sync|ui: the same as `parity sync|ui`."""

import sys

from parity.cli import main

if __name__ == "__main__":
    sys.exit(main())
