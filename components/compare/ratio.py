"""Candidate against reference as a ratio."""


def ratio(candidate: float | None, reference: float | None) -> float | None:
    """candidate / reference; None where one was not measured or the reference is not above zero."""
    if candidate is None or reference is None or reference <= 0:
        return None
    return candidate / reference
