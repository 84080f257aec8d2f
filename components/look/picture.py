"""The former place of ``components.common.html``."""

from components.common.html import picture_tag, read_picture

__all__ = ["picture_tag", "read_picture"]
