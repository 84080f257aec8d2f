"""What comparing long trainings costs: python -m tests.components.compare.measure [--seeds 5] [--steps 100000]

Two legs are written into a temporary folder; the comparison runs in a process of its own. Printed are its seconds, its
CPU seconds and its peak memory. Exit code 1 if one is above its bound.
"""

# ruff: noqa: T201
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.components.run_folders import loss_table, write_events, write_leg

MAX_SECONDS = 30.0
MAX_MEGABYTES = 500.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100_000)
    parser.add_argument("--images", type=int, default=16)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        arguments = []
        for place, name in enumerate(("gpu", "npu")):
            leg = write_leg(name, Path(folder) / name, range(options.seeds), noise=place, images=options.images)
            for number, source in enumerate(leg.sources):
                losses = loss_table(options.steps, noise=10 * place + number)
                write_events(source.run / "events.jsonl", losses)
                summary = source.run / "summary.json"
                summary.write_text(summary.read_text().replace('"steps": 60', f'"steps": {options.steps}'))
            arguments.append(f"{name}={','.join(str(source.run) for source in leg.sources)}")
        command = [sys.executable, "-m", "components.compare", *arguments, "--output", f"{folder}/output"]
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        printed = process.stdout.read() if process.stdout else ""
    megabytes = usage.ru_maxrss / 1024
    print(printed.splitlines()[0])
    print(f"2 legs x {options.seeds} seeds x {options.steps} steps, {options.images} images of 64 px a run")
    print(f"{seconds:.1f} s ({usage.ru_utime + usage.ru_stime:.1f} s of CPU), at most {MAX_SECONDS:.0f}")
    print(f"{megabytes:.0f} MB at the peak, at most {MAX_MEGABYTES:.0f}")
    good = os.waitstatus_to_exitcode(status) == 0 and seconds <= MAX_SECONDS and megabytes <= MAX_MEGABYTES
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
