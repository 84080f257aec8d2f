"""YAML from outside: what JSON can hold and no more, within bounds of size, depth and numbers.

An alias counts as all that it stands for, as often as it is used.
"""

from pathlib import Path
from typing import Any, ClassVar

import yaml

from dualgan.errors import OF_CONTENT, BadInput, first_line
from dualgan.json_files import MAX_DEPTH, MAX_WHOLE_NUMBER, read_bounded

MAX_BYTES = 4 << 20
MAX_VALUES = 200_000
PLAIN_TAGS = [f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")]


class _PlainLoader(yaml.SafeLoader):
    """YAML without what JSON has no word for: a date is text, and sets, bytes and other tags are refused."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in resolvers if tag in PLAIN_TAGS]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    # None is for any other tag, and raises an error.
    yaml_constructors: ClassVar[dict[Any, Any]] = {
        tag: yaml.SafeLoader.yaml_constructors[tag] for tag in (*PLAIN_TAGS, None)
    }

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Leave "<<" alone: each could double what it takes in."""


def read_yaml(path: Path) -> Any:
    """Read a file of one YAML document. Raises BadInput, in one line, if it holds none that is within the bounds."""
    try:
        return parse_yaml(read_bounded(path, MAX_BYTES), str(path))
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None


def parse_yaml(content: str | bytes, label: str) -> Any:
    """Parse one YAML document, as ``parse_yaml_documents`` does; None if there is none."""
    found = parse_yaml_documents(content, label)
    if len(found) > 1:
        raise BadInput(f"{label}: no YAML: {len(found)} documents, but one is wanted")
    return found[0] if found else None


def parse_yaml_documents(content: str | bytes, label: str) -> list[Any]:
    """Parse YAML documents, a text or UTF-8. Raises BadInput for what is none, or not within the bounds."""
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        if len(text) > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES} bytes")
        found = list(yaml.load_all(text, _PlainLoader))
        for document in found:
            _check(document)
    except RecursionError:
        raise BadInput(f"{label}: no YAML: nested deeper than {MAX_DEPTH}") from None
    except yaml.YAMLError as error:
        raise BadInput(f"{label}: no YAML: {' '.join(str(error).split())[:400]}") from None
    except OF_CONTENT as error:
        raise BadInput(f"{label}: no YAML: {first_line(error)[:200]}") from None
    return found


def _check(document: Any) -> None:
    """Raise ValueError for a document that is too large, too deep, or holds itself, and for a key that is no text."""
    values = characters = 0
    waiting: list[tuple[Any, int]] = [(document, 1)]
    while waiting:
        value, depth = waiting.pop()
        values += 1
        if isinstance(value, str):
            # Half a surrogate pair cannot be encoded.
            characters += len(value.encode("utf-8"))
        elif isinstance(value, int) and abs(value) > MAX_WHOLE_NUMBER:
            raise ValueError("a whole number does not fit into 64 bits")
        inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        for key in value if isinstance(value, dict) else ():
            if not isinstance(key, str):
                raise ValueError(f"the key {ascii(key)[:60]} is no text")
        waiting.extend((item, depth + 1) for item in inner)
        if depth > MAX_DEPTH:
            raise ValueError(f"nested deeper than {MAX_DEPTH}")
        if values + len(waiting) > MAX_VALUES or characters > MAX_BYTES:
            raise ValueError(
                f"more than {MAX_VALUES} values or {MAX_BYTES} characters, those that aliases stand for included"
            )
