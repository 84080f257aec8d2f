"""The part a leg plays in a comparison."""

from typing import Literal

Role = Literal["reference", "candidate"]
