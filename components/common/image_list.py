"""images.json: the images that were pushed to a registry, each by the digest of its content."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, ValidationInfo, field_validator

from components.common.files import write_file
from dualgan.errors import BadInput
from dualgan.json_files import parse_json, read_bounded

MAX_BYTES = 1 << 20
REPOSITORY = "dualgan-parity"
HOST = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
# The reference grammar of the OCI distribution.
IMAGE = re.compile(
    rf"(?:{HOST}(?:\.{HOST})*(?::[0-9]+)?/)?{COMPONENT}(?:/{COMPONENT})*"
    r"(?P<tag>:[\w][\w.-]{0,127})?(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


class PushedImage(BaseModel):
    """An image in a registry: its name in images/, where it is, what it is built for, and the commit of its code."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")]
    reference: str
    architectures: Annotated[tuple[Annotated[str, Field(pattern=r"^[a-z0-9]+$")], ...], Field(min_length=1)]
    revision: Annotated[str, Field(pattern=r"^\S+$", max_length=128)]

    @field_validator("reference")
    @classmethod
    def _is_of_its_name(cls, reference: str, others: ValidationInfo) -> str:
        wanted, found = f"/{REPOSITORY}/{others.data.get('name')}", IMAGE.fullmatch(reference)
        if not (found and found["digest"] and reference.removesuffix(found["digest"]).endswith(wanted)):
            raise ValueError(f"{reference} is not REGISTRY{wanted}@sha256:DIGEST")
        return reference

    @property
    def repository(self) -> str:
        return self.reference.partition("@")[0]

    @property
    def digest(self) -> str:
        return self.reference.partition("@")[2]


def name_in(registry: str, name: str, tag: str) -> str:
    """Return what the image ``name`` is called in a registry. Raises BadInput if no image may be called so."""
    remote = f"{registry.rstrip('/')}/{REPOSITORY}/{name}:{tag}"
    if not IMAGE.fullmatch(remote):
        raise BadInput(f"registry {registry!r}, tag {tag!r}: {remote} is no name of an image")
    return remote


def read_images(file: Path) -> Mapping[str, PushedImage]:
    """Return the images of a file by their names. Raises BadInput, in one line, for a file that is no such list."""
    try:
        content = parse_json(read_bounded(file, MAX_BYTES), str(file))
        images = TypeAdapter(Annotated[list[PushedImage], Field(min_length=1)]).validate_python(content)
    except OSError as error:
        raise BadInput(f"{file}: {error.strerror}; `python -m images push` writes it") from None
    except ValidationError as error:
        first = error.errors()[0]
        place, said = ".".join(map(str, first["loc"])) or "images", first["msg"].removeprefix("Value error, ")
        raise BadInput(f"{file}: {place}: {said}") from None
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
