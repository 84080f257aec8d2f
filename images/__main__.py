"""python -m images build|layers|list: the container images of the pipeline's steps."""

import shlex
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from components.common.cli import command, new_app, run_app
from dualgan.errors import BadInput
from images.build import USUAL, BuildOptions, build_command, image_tag, known_images, load_bases, run_docker

LAYERS = "{{.Size}}\t{{.CreatedBy}}"
NAMES = f"One of {', '.join(known_images())}."
PANEL = "Images"

app = new_app("The container images of the pipeline's steps.", add_completion=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the one of the process's own command line, and return the exit code."""
    return run_app(app, "python -m images", sys.argv[1:] if arguments is None else arguments)


@command(app, "build", PANEL, "python -m images build cpu tf1")
def build_images(
    options: BuildOptions,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="NAME", help=f"{NAMES} Default: {' '.join(USUAL)}.")
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the commands, for another builder, and end.")
    ] = False,
) -> int:
    """Build images with docker."""
    chosen = names or USUAL
    if options.tag and len(chosen) > 1:
        raise BadInput("--tag: names one image, but several are built")
    for name, words in [(name, build_command(name, options)) for name in chosen]:
        if only_print:
            print(shlex.join(words))
        else:
            run_docker(words, f"image {name}")
    return 0


@command(app, "layers", PANEL, "python -m images layers cpu")
def print_layers(name: Annotated[str, typer.Argument(metavar="NAME", help=NAMES)]) -> int:
    """Print what each layer of an image adds."""
    run_docker(["docker", "history", "--no-trunc", "--format", LAYERS, image_tag(name)], name)
    return 0


@command(app, "list", PANEL, "python -m images list")
def list_images() -> int:
    """Print images, and what they are built on."""
    for name in known_images():
        print(image_tag(name))
    for argument, base in load_bases().items():
        print(f"  {argument}: {base.reference}: {base.what}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
