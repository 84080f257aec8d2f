"""Does the verdict see what is broken? ``make bench-verdict``."""
