"""The images that ours are built on, as bases.yaml lists them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from components.common.yaml_files import read_yaml
from dualgan.errors import BadInput

FILE = Path(__file__).parent / "bases.yaml"


class Base(BaseModel):
    """digest: of the content behind ``image``'s tag, None if the tag decides; what: what it is, for a person."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str
    digest: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None
    what: str

    @property
    def reference(self) -> str:
        """What a Dockerfile's FROM is given."""
        return f"{self.image}@{self.digest}" if self.digest else self.image


def load_bases(file: Path = FILE) -> Mapping[str, Base]:
    """Each base by the name of its build argument. Raises BadInput, in one line, for a file that is not such a list."""
    try:
        return TypeAdapter(dict[str, Base]).validate_python(read_yaml(file))
    except ValidationError as error:
        first = error.errors()[0]
        raise BadInput(f"{file}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
