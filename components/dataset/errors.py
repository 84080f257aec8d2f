"""The former place of ``components.common.errors``."""

from components.common.errors import TransferBroken

__all__ = ["TransferBroken"]
