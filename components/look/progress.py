"""The former place of ``components.common.console``."""

from components.common.console import BAR_SECONDS, MARK, PASSING_MARK, SECONDS_VARIABLE, Progress
from components.common.console import print_status as say

__all__ = ["BAR_SECONDS", "MARK", "PASSING_MARK", "SECONDS_VARIABLE", "Progress", "say"]
