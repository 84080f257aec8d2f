"""Other programs of this machine, such as the vendors' tools that list its cards."""

import subprocess
from typing import Optional, Sequence


def output_of(command: Sequence[str], seconds: float = 10.0) -> Optional[str]:
    """Return what ``command`` prints; None if it is missing, fails or takes longer than ``seconds``."""
    try:
        answer = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=seconds, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.decode("utf-8", "replace")
