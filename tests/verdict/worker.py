"""Run a command of dualgan as a broken leg does: python -m tests.verdict.worker "learning rate x1.3" train ..."""

import contextlib
import sys
from typing import Any

from dualgan.cli import main


def broken(mutation: str, command: str) -> Any:
    """The context of a mutation. Legs that are not broken run on Python 3.7 as well, mutations do not."""
    if mutation == "none":
        return contextlib.nullcontext()
    from tests.verdict.mutations import LATE_MUTATIONS, MUTATIONS

    if mutation in LATE_MUTATIONS:
        # What happens late in a training cannot show in a replay of single steps.
        return LATE_MUTATIONS[mutation]() if command == "train" else contextlib.nullcontext()
    return MUTATIONS[mutation]()


if __name__ == "__main__":
    with broken(sys.argv[1], sys.argv[2]):
        sys.exit(main(sys.argv[2:]))
