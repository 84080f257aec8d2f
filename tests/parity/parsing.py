"""Command lines of `parity` and `dualgan`, parsed and not run."""

import re
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

from dualgan.cli import parser as dualgan_parser
from parity.cli import app, with_newest


class Parsed(NamedTuple):
    """A command, such as "parity dataset fetch", and the values of its parameters."""

    command: str
    parameters: dict[str, Any]


def parse(line: str | list[str]) -> Parsed:
    """Parse a line that begins with parity or dualgan. Raises what the program makes a usage error of."""
    program, *arguments = shlex.split(line) if isinstance(line, str) else line
    if program == "dualgan":
        parameters = vars(dualgan_parser().parse_args(arguments))
        return Parsed(f"dualgan {parameters['command']}", parameters)
    assert program == "parity", line
    context = typer.main.get_command(app).make_context(program, with_newest(arguments))
    while isinstance(context.command, TyperGroup):
        rest = [*context._protected_args, *context.args]
        name, command, rest = context.command.resolve_command(context, rest)
        assert command, line
        context = command.make_context(name, rest, parent=context)
    return Parsed(context.command_path, context.params)


def documented(text: str) -> Iterator[str]:
    """Yield the command lines of a Markdown text: lines of code, and code within a sentence."""
    fenced = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
    code = "\n".join([*fenced, *re.findall(r"^ {4}(.*)$", text, re.M)])
    lines = [line.strip() for line in code.replace("\\\n", " ").splitlines()]
    within = re.findall(r"(?<!`)`([^`\n]+)`", text)
    for line in [*lines, *within]:
        found = re.match(r"(?:\.venv/bin/)?((?:parity|dualgan) [a-z].*)", line)
        if found:
            yield re.split(r"\s(?:\||&&|#|>)\s| \|\| ", found[1])[0]
