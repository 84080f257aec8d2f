"""python -m images build|push|merge|component|pin|layers|list: the container images of the pipeline's steps."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from components.common.cli import command, new_app, run_app
from components.common.image_list import name_in, read_images, write_images
from components.common.revision import UNKNOWN, code_commit
from dualgan.errors import BadInput
from images.build import USUAL, BuildOptions, build_command, image_tag, known_images, load_bases, run_docker

LAYERS = "{{.Size}}\t{{.CreatedBy}}"
NAMES = f"One of {', '.join(known_images())}."
PANEL, REGISTRY = "Images", "A registry"
Names = Annotated[list[str] | None, typer.Argument(metavar="NAME", help=f"{NAMES} Default: {' '.join(USUAL)}.")]
Output = Annotated[Path, typer.Option(metavar="FILE", help="Where the list of images goes.")]
IMAGES_FILE = Path("images.json")

app = new_app("The container images of the pipeline's steps.", add_completion=False)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, by default the one of the process's own command line, and return the exit code."""
    return run_app(app, "python -m images", sys.argv[1:] if arguments is None else arguments)


@command(app, "build", PANEL, "python -m images build cpu tf1")
def build_images(
    options: BuildOptions,
    names: Names = None,
    tag: Annotated[
        str | None, typer.Option(help="Name of the image, for one image alone; default: dualgan-parity/NAME:dev.")
    ] = None,
    only_print: Annotated[
        bool, typer.Option("--print", help="Print the commands, for another builder, and end.")
    ] = False,
) -> int:
    """Build images with docker."""
    chosen = names or USUAL
    if tag and len(chosen) > 1:
        raise BadInput("--tag: names one image, but several are built")
    for name, words in [(name, build_command(name, options, tag)) for name in chosen]:
        if only_print:
            print(shlex.join(words))
        else:
            run_docker(words, f"image {name}")
    return 0


@command(app, "push", REGISTRY, "python -m images push --registry ghcr.io/team cpu tf1 mlflow")
def push_images(
    options: BuildOptions,
    registry: Annotated[str, typer.Option(help="Images are called REGISTRY/dualgan-parity/NAME there.")],
    names: Names = None,
    tag: Annotated[str | None, typer.Option(help="Default: the commit of the code.")] = None,
    output: Output = IMAGES_FILE,
    build: Annotated[bool, typer.Option("--build/--no-build", help="Or take them as they are built.")] = True,
) -> int:
    """Build images, push them, and list them by digest, for `parity compile`, `submit`, `retrain` and `schedule`.

    For several architectures, give each machine's images a --tag and --output of their own, and `merge` the lists.
    """
    from images.registry import push

    chosen, version = list(dict.fromkeys(names or USUAL)), tag or code_commit() or UNKNOWN
    for name in chosen:
        name_in(registry, name, version)
    # All of them are known and built before one is pushed.
    for words, what in [(build_command(name, options), f"image {name}") for name in chosen]:
        if build:
            run_docker(words, what)
    write_images(output, [push(name, registry, version) for name in chosen])
    print(output)
    return 0


@command(app, "merge", REGISTRY, "python -m images merge --tag 1.0 amd64.json arm64.json")
def merge_lists(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="Lists that `push` has written.")],
    tag: Annotated[str, typer.Option(help="For the images of all architectures.")],
    output: Output = IMAGES_FILE,
) -> int:
    """Make one image of those of several architectures, in their registry, and list it by digest."""
    from images.registry import join

    write_images(output, list(join([read_images(file) for file in files], tag)))
    print(output)
    return 0


@command(app, "component", REGISTRY, "python -m images component images.json manifests/site/images")
def make_component(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A list that `push` or `merge` has written.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the component goes.")],
) -> int:
    """Write a component of kustomize with which a site runs, and its retrain job compares, these very images."""
    from images.kustomize import write_component

    print(write_component(file, folder))
    return 0


@command(app, "pin", REGISTRY, "python -m images pin PYTHON_3_11")
def pin(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="BASE", help=f"One of {', '.join(load_bases())}. Default: all.")
    ] = None,
) -> int:
    """Write into bases.yaml which content the tags of the bases stand for now; images are built from that."""
    from images.registry import pin_bases

    for line in pin_bases(names or ()):
        print(line)
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
