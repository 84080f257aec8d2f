"""The plugin's life in a process."""


def npu_close() -> None:
    """The NPU is let go. The double holds none."""
