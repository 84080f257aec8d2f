"""Configurations of the adapter's estimator interface."""

from typing import Any


class ProfilingConfig:
    def __init__(self, enable_profiling: Any = False, profiling_options: Any = None) -> None:
        self._enable_profiling, self._profiling_options = enable_profiling, profiling_options


class DumpConfig:
    def __init__(
        self,
        enable_dump: Any = False,
        dump_path: Any = None,
        dump_step: Any = None,
        dump_mode: Any = "output",
        enable_dump_debug: Any = False,
        dump_debug_mode: Any = "all",
        dump_data: Any = "tensor",
        dump_layer: Any = None,
    ) -> None:
        self._enable_dump, self._enable_dump_debug = enable_dump, enable_dump_debug
        self._dump_path, self._dump_step, self._dump_mode = dump_path, dump_step, dump_mode
        self._dump_debug_mode, self._dump_data, self._dump_layer = dump_debug_mode, dump_data, dump_layer
