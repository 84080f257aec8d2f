"""python -m images build|layers|list --help"""

import argparse
import shlex
import sys
from typing import NoReturn

from dualgan.errors import BadInput, DualGANError
from images.bases import load_bases
from images.build import USUAL, BuildOptions, build, build_command, image_tag, known_images, run_docker

LAYERS = "{{.Size}}\t{{.CreatedBy}}"


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise BadInput(f"{message}; see {self.prog} --help")


def parser() -> Parser:
    root = Parser(prog="python -m images", description="The container images of the pipeline's steps.")
    commands = root.add_subparsers(dest="command", required=True, metavar="build|layers|list")
    names = f"one of {', '.join(known_images())}"

    building = commands.add_parser("build", help="build images with docker")
    building.add_argument("names", nargs="*", metavar="NAME", help=f"{names} (default: {' '.join(USUAL)})")
    building.add_argument("--uid", type=int, default=1000, help="user that the image's processes run as")
    building.add_argument("--gid", type=int, default=1000, help="and its group")
    building.add_argument("--network", default="host", help="network of the build's steps (default: host)")
    building.add_argument("--tag", help="name of the image (default: dualgan-parity/NAME:dev); for one image alone")
    building.add_argument(
        "--build-arg", action="append", default=[], metavar="NAME=VALUE", help="as docker's own option; may be repeated"
    )
    building.add_argument("--print", action="store_true", help="print the commands, for another builder, and end")

    layers = commands.add_parser("layers", help="what each layer of an image adds")
    layers.add_argument("name", metavar="NAME", help=names)
    commands.add_parser("list", help="images, and what they are built on")
    return root


def main(arguments: list[str] | None = None) -> int:
    try:
        options = parser().parse_args(arguments)
        if options.command == "build":
            _build(options)
        elif options.command == "layers":
            run_docker(["docker", "history", "--no-trunc", "--format", LAYERS, image_tag(options.name)], options.name)
        else:
            _list()
    except DualGANError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


def _build(options: argparse.Namespace) -> None:
    names = options.names or USUAL
    if options.tag and len(names) > 1:
        raise BadInput("--tag: names one image, but several are built")
    arguments = dict(_assignment(text) for text in options.build_arg)
    settings = BuildOptions(options.uid, options.gid, options.network, options.tag, arguments)
    for command in [build_command(name, settings) for name in names] if options.print else ():
        print(shlex.join(command))
    for name in () if options.print else names:
        build(name, settings)


def _assignment(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(f"--build-arg {text}: must be NAME=VALUE")
    return name, value


def _list() -> None:
    for name in known_images():
        print(image_tag(name))
    for argument, base in load_bases().items():
        print(f"  {argument}: {base.reference}: {base.what}")


if __name__ == "__main__":
    sys.exit(main())
