"""One runtime's part of the benchmark: prints one JSON object a measurement. Python 3.7, either TensorFlow.

yes | head -5 | python -m tests.bench.worker ours DATASET --gcn 64 --steps 1
python -m tests.bench.worker operations DATASET --gcn 64
python -m tests.bench.worker feed DATASET --steps 2000
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Tuple

from dualgan.checkpoints import initial_value
from dualgan.dataset_folder import checked_description, list_images
from dualgan.devices import Device, open_device
from dualgan.feed import Prefetch, TrainingData, training_data
from dualgan.networks import all_variables
from dualgan.options import TrainOptions
from dualgan.step import StepGraph, load_variables
from dualgan.tensorflow_v1 import tf
from tests.bench.costs import bytes_per_step, fetches_of_step, flops_per_step
from tests.bench.machine_rates import matmul_rate, memory_rate
from tests.bench.operations import seconds_by_kind
from tests.bench.reference_loop import ReferenceLoop

WARM_UP_STEPS = 3
SEED = 0


def say(**measurement: Any) -> None:
    print(json.dumps(dict(measurement, tensorflow=tf.version.VERSION)), flush=True)


def started(options: TrainOptions, device: Device) -> Tuple[StepGraph, Any]:
    """The trainer's graph, and a session in which it has its first weights."""
    with tf.Graph().as_default():
        graph = StepGraph(options, device)
        initializer = tf.global_variables_initializer()
        tf.get_default_graph().finalize()
        session = tf.Session(graph=tf.get_default_graph(), config=device.session_config())
        weights = {spec.name: initial_value(spec, SEED) for spec in all_variables(options)}
        load_variables(session, initializer, graph.variables, weights)
        return graph, session


def ours(options: TrainOptions, data: TrainingData, device: Device) -> Callable[[int], None]:
    """A function that does ``steps`` steps as the trainer does them."""
    graph, session = started(options, device)
    with session.graph.as_default():
        step = graph.step_callable(session)
        say(kind="costs", gcn=options.gcn, flops=flops_per_step(graph), bytes=bytes_per_step(graph))
    prefetch = Prefetch(data)
    done = [0]

    def run(steps: int) -> None:
        for _ in range(steps):
            done[0] += 1
            step(done[0], prefetch.batch(done[0]).values())

    return run


def reference(options: TrainOptions, dataset: Path) -> Callable[[int], None]:
    files = {domain: list_images(dataset, "train", domain) for domain in "AB"}
    with tf.Graph().as_default():
        loop = ReferenceLoop(options, files)
        initializer = tf.global_variables_initializer()
        session = tf.Session(
            graph=tf.get_default_graph(), config=tf.ConfigProto(intra_op_parallelism_threads=options.threads)
        )
        session.run(initializer)
        weights = {spec.name: initial_value(spec, SEED) for spec in all_variables(options)}
        initializers = [loop.variables[name].initializer for name in weights]
        session.run(initializers, {op.inputs[1]: value for op, value in zip(initializers, weights.values())})
    done = [0]

    def run(steps: int) -> None:
        for _ in range(steps):
            done[0] += 1
            loop.step(session, done[0])

    return run


def do_rounds(name: str, loop: Callable[[int], None], arguments: argparse.Namespace) -> None:
    """Do a round of steps for each line that comes, so that two processes can take turns.

    TensorFlow sets up its threads once a process, as the first session wants them: each loop has its own.
    """
    loop(WARM_UP_STEPS)
    say(kind="ready", loop=name)
    for _ in sys.stdin:
        wall, cpu = time.perf_counter(), time.process_time()
        loop(arguments.steps)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        say(kind="steps", loop=name, gcn=arguments.gcn, wall=wall / arguments.steps, cpu=cpu / arguments.steps)


def measure_rates(gcn: int) -> None:
    device = open_device("cpu", TrainOptions(threads=len(os.sched_getaffinity(0))))
    say(kind="rates", gcn=gcn, flops_per_second=matmul_rate(device), bytes_per_second=memory_rate(device))


def measure_operations(options: TrainOptions, data: TrainingData) -> None:
    # On one thread the seconds of operations add up to those of a step.
    graph, session = started(options, open_device("cpu", TrainOptions(threads=1)))
    feed = dict(zip(graph.feeds.values(), Prefetch(data).batch(1).values()))

    def step(run_options: Any, metadata: Any) -> None:
        for run in fetches_of_step(graph):
            session.run(run, feed, options=run_options, run_metadata=metadata)

    for _ in range(WARM_UP_STEPS):
        step(None, None)
    say(kind="operations", gcn=options.gcn, seconds=seconds_by_kind(session.graph, step))


def measure_feed(arguments: argparse.Namespace, data: TrainingData) -> None:
    prefetch = Prefetch(data)
    prefetch.batch(1)
    began = time.perf_counter()
    for step in range(2, 2 + arguments.steps):
        prefetch.batch(step)
    say(kind="feed", images_per_sec=2 * arguments.steps / (time.perf_counter() - began))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=("reference", "ours", "operations", "rates", "feed"))
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--gcn", type=int, default=64)
    parser.add_argument("--steps", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0)
    arguments = parser.parse_args()
    options = TrainOptions(
        data_dir=str(arguments.dataset), gcn=arguments.gcn, dcn=arguments.gcn, threads=arguments.threads
    )
    with tempfile.TemporaryDirectory() as cache:
        data = training_data(options, checked_description(arguments.dataset).digest, Path(cache))
        if arguments.what == "reference":
            do_rounds("reference", reference(options, arguments.dataset), arguments)
        elif arguments.what == "ours":
            do_rounds("ours", ours(options, data, open_device("cpu", options)), arguments)
        elif arguments.what == "operations":
            measure_operations(options, data)
        elif arguments.what == "rates":
            measure_rates(arguments.gcn)
        else:
            measure_feed(arguments, data)


if __name__ == "__main__":
    main()
