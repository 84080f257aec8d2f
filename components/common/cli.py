"""Command lines: a typer application as a program, one line for each error, and values that options share."""

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, get_type_hints

import typer

from components.common.console import make_logs_printable
from dualgan.errors import BadInput, exit_code_of
from dualgan.options import parsed_options

Command = Callable[..., int]
EXAMPLE = "Example: "


def new_app(help_text: str, **settings: Any) -> typer.Typer:
    """Return an application whose usage errors and failures ``run_app`` prints."""
    return typer.Typer(help=help_text, rich_markup_mode="rich", **settings)


def command(app: typer.Typer, name: str, panel: str, example: str, **settings: Any) -> Callable[[Command], Command]:
    """Return a decorator that adds a function to ``app``; its help is the docstring, and ends with the example.

    A parameter whose type is a dataclass stands for the fields of that, which are options that commands share.
    """

    def add(function: Command) -> Command:
        # Within a paragraph, lines end where the terminal's do.
        text = re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(function) or "")
        epilog = f"{EXAMPLE}{example}"
        app.command(name, rich_help_panel=panel, help=text, epilog=epilog, **settings)(_with_fields(function))
        return function

    return add


def _with_fields(function: Command) -> Command:
    hints = get_type_hints(function, include_extras=True)
    groups: dict[str, Any] = {name: hint for name, hint in hints.items() if is_dataclass(hint)}
    options: dict[str, tuple[Any, Any]] = {}
    for parameter in inspect.signature(function).parameters.values():
        if group := groups.get(parameter.name):
            types = get_type_hints(group, include_extras=True)
            options |= {option.name: (types[option.name], option.default) for option in fields(group)}
        else:
            options[parameter.name] = (hints[parameter.name], parameter.default)

    @functools.wraps(function)
    def with_fields(**given: Any) -> int:
        for name, group in groups.items():
            given[name] = group(**{option.name: given.pop(option.name) for option in fields(group)})
        return function(**given)

    with_fields.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in options.items()
        ]
    )
    with_fields.__annotations__ = {name: kind for name, (kind, _) in options.items()}
    return with_fields


def run_app(app: typer.Typer, program: str, arguments: Sequence[str]) -> int:
    """Run the command that ``arguments`` name, and return its exit code; ``--debug`` prints tracebacks."""

    def perform(texts: list[str]) -> int:
        try:
            code = typer.main.get_command(app).main(args=texts, prog_name=program, standalone_mode=False)
        except typer.TyperException as error:
            context = getattr(error, "ctx", None)
            command = context.command_path if context else program
            message = error.format_message().strip().removesuffix(".").replace("Value error, ", "")
            raise BadInput(f"{message}; see `{command} --help`") from None
        return int(code or 0)

    make_logs_printable()
    return exit_code_of(perform, arguments)


def assignments(flag: str, texts: Sequence[str], example: str = "") -> dict[str, str]:
    """Return what a repeated NAME=VALUE option says, by name. Raises BadInput for a text without "="."""
    pairs = [text.partition("=") for text in texts]
    for text, (_, equals, _) in zip(texts, pairs, strict=True):
        if not equals:
            raise BadInput(f"{flag} {text}: must be NAME=VALUE{f', such as {example}' if example else ''}")
    return {name: value for name, _, value in pairs}


def training_options(texts: Sequence[str]) -> dict[str, Any]:
    """Return the values of --option, each of its own type. Raises BadInput for an unknown name or another type."""
    return parsed_options(assignments("--option", texts, "max_steps=100"))


def positive(text: str | float) -> float:
    """Parse a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise typer.BadParameter(f"'{text}' is not a number above 0")
    return number
