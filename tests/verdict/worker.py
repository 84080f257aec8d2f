"""One leg of the mutation table, in a process of its own: train it and replay the reference's trace, broken or not.

python -m tests.verdict.worker "learning rate x1.3" --trace trace.npz --data-dir ... --run-dir ...
"""

import contextlib
from pathlib import Path
from typing import Any

from dualgan import options as train_options
from dualgan.replay import Leg, replay_trace
from dualgan.run_folder import write_json
from dualgan.training import train


def broken(mutation: str) -> Any:
    """The context of a mutation. Legs that are not broken run on Python 3.7 as well, mutations do not."""
    if mutation == "none":
        return contextlib.nullcontext()
    from tests.verdict.mutations import MUTATIONS

    return MUTATIONS[mutation]()


def main() -> None:
    parser = train_options.Parser()
    parser.add_argument("mutation", help='of tests.verdict.mutations, or "none"')
    parser.add_argument("--trace", type=Path, required=True)
    parser.add_argument("--replay", type=Path, required=True)
    train_options.add_arguments(parser)
    arguments = parser.parse_args()
    options = train_options.from_arguments(arguments)
    with broken(arguments.mutation):
        train(options)
        write_json(arguments.replay, replay_trace(arguments.trace, Leg(Path(options.run_dir), {})))


if __name__ == "__main__":
    main()
