"""The former place of ``components.common.html``."""

from components.common.html import picture_tag as picture_tag
from components.common.html import read_picture as read_picture
