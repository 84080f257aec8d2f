"""The former place of ``components.common.console``."""

from components.common.console import BAR_SECONDS as BAR_SECONDS
from components.common.console import MARK as MARK
from components.common.console import PASSING_MARK as PASSING_MARK
from components.common.console import SECONDS_VARIABLE as SECONDS_VARIABLE
from components.common.console import Progress as Progress
from components.common.console import print_status as say  # noqa: F401
