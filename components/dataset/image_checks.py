"""Checks of many images, in processes of their own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType

from components.dataset.options import Limits
from components.dataset.progress import Progress
from dualgan.errors import DualGANError

# So few images are checked sooner than a process starts; so many are sent to one at a time.
BATCH = 64
MOST_PROCESSES = 8
# So many batches take as long as a process takes to start.
WORTH_A_PROCESS = 30
PROGRAM = str(Path(__file__).with_name("image_check.py"))


class ImageChecks:
    """Checks files while more of them are being written. ``submit`` what is written, then ask for ``problems``."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: list[str] = []
        self._sent: list[tuple[list[str], Future[list[str]]]] = []
        count = min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
        self._idle: SimpleQueue[_Process] = SimpleQueue()
        self._processes = [_Process(limits) for _ in range(count)]
        # One processor is for whoever writes the files, until that is done.
        self._last, *others = self._processes
        for process in others or self._processes:
            self._idle.put(process)
        self._pool = ThreadPoolExecutor(count)

    def submit(self, file: str) -> None:
        self._waiting.append(file)
        if len(self._waiting) == BATCH:
            batch, self._waiting = self._waiting, []
            self._sent.append((batch, self._pool.submit(self._check, batch)))

    def problems(self) -> dict[str, str]:
        """Why files cannot be used, of those submitted. Raises DualGANError where checking itself fails."""
        found = {}
        waiting = sum(not answer.done() for _, answer in self._sent)
        if len(self._processes) > 1 and waiting >= WORTH_A_PROCESS:
            self._idle.put(self._last)
        total = BATCH * len(self._sent) + len(self._waiting)
        with Progress("checking", total, "images") as progress:
            for file, problem in self._answers():
                progress.advance(1)
                if problem:
                    found[file] = problem
        return found

    def _answers(self) -> Iterator[tuple[str, str]]:
        for batch, answer in self._sent:
            yield from zip(batch, answer.result(), strict=True)
        if self._waiting:
            # Pillow takes longer to import than all else here, and is needed where there are few images only.
            from components.dataset import image_check
        for file in self._waiting:
            yield file, image_check.problem(file, self._limits.pixels, self._limits.side)

    def _check(self, files: Sequence[str]) -> list[str]:
        process = self._idle.get()
        try:
            answer = process.ask(files)
            if answer is not None:
                return answer
            return [self._check_alone(process, file) for file in files]
        finally:
            self._idle.put(process)

    @staticmethod
    def _check_alone(process: "_Process", file: str) -> str:
        answer = process.ask([file])
        return answer[0] if answer is not None else "decoding it ended the decoder"

    def __enter__(self) -> "ImageChecks":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if kind is not None:
            for process in self._processes:
                process.kill()
        self._pool.shutdown(cancel_futures=True)
        for process in self._processes:
            process.kill()


class _Process:
    """One checking process, started when it is first asked, and anew after it has died."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._process: subprocess.Popen[str] | None = None

    def ask(self, files: Sequence[str]) -> list[str] | None:
        """A problem or "" for each file; None where the process died of them."""
        process = self._started()
        assert process.stdin is not None and process.stdout is not None
        question = json.dumps([self._limits.pixels, self._limits.side, list(files)])
        try:
            process.stdin.write(question + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except (BrokenPipeError, ValueError):
            line = ""
        if not line:
            self.kill()
            return None
        answer: list[str] = json.loads(line)
        return answer

    def _started(self) -> subprocess.Popen[str]:
        if self._process is None:
            # -P: the folder of that file is not where its imports are looked for.
            command = [sys.executable, "-P", PROGRAM]
            try:
                self._process = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
                )
            except OSError as error:
                raise DualGANError(f"{sys.executable}: cannot be started to check images: {error.strerror}") from None
        return self._process

    def kill(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
