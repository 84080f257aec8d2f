"""The former place of ``components.common.html``."""

from components.common.html import environment, memory, number

__all__ = ["environment", "memory", "number"]
