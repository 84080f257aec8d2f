"""The former place of ``components.common.html``."""

from components.common.html import environment as environment
from components.common.html import memory as memory
from components.common.html import number as number
