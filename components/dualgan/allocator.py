"""The C library's memory allocator."""

import ctypes

# mallopt(3) of the GNU C library.
M_ARENA_MAX = -8


def share_one_arena() -> None:
    """Let all threads of this process share one heap; call it before they start. Only with the GNU C library.

    A step's tensors are freed by other threads than those that made them. With a heap a thread, as is usual, some
    16 kB a step stay unused for the first thousands of steps.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, 1)
