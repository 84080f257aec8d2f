"""Profiles that come with the software, one a YAML file."""

from pathlib import Path

FOLDER = Path(__file__).parent


def known_profiles() -> list[str]:
    """Return the names of the profiles in this folder."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))
