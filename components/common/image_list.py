"""images.json: the images that were pushed to a registry, each by the digest of its content."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from components.common.files import write_file
from dualgan.errors import BadInput
from dualgan.json_files import parse_json, read_bounded

MAX_BYTES = 1 << 20
REPOSITORY = "dualgan-parity"


class PushedImage(BaseModel):
    """An image in a registry: its name in images/, where it is, what it is built for, and the commit of its code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    reference: Annotated[str, Field(pattern=rf"^[^@\s]+/{REPOSITORY}/[a-z0-9-]+@sha256:[0-9a-f]{{64}}$")]
    architectures: Annotated[tuple[str, ...], Field(min_length=1)]
    revision: str

    @property
    def repository(self) -> str:
        return self.reference.partition("@")[0]

    @property
    def digest(self) -> str:
        return self.reference.partition("@")[2]


def read_images(file: Path) -> Mapping[str, PushedImage]:
    """Return the images of a file by their names. Raises BadInput, in one line, for a file that is no such list."""
    try:
        content = parse_json(read_bounded(file, MAX_BYTES), str(file))
        images = TypeAdapter(list[PushedImage]).validate_python(content)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; `python -m images push` writes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{file}: {'.'.join(map(str, first['loc'])) or 'images'}: {first['msg']}") from None
    except ValueError as error:
        raise BadInput(str(error)) from None
    found = {image.name: image for image in images}
    if len(found) < len(images):
        raise BadInput(f"{file}: an image is there twice")
    return found


def write_images(file: Path, images: Iterable[PushedImage]) -> None:
    """Write a list of images, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_file(file, json.dumps([image.model_dump() for image in images], indent=2) + "\n")
