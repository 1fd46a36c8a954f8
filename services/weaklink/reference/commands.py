"""The page of commands: every `weaklink ...` with its arguments and options, as `--help` tells them."""

from collections.abc import Iterator
from typing import Any

import typer

from weaklink.cli.main import app


def page() -> str:
    """The page, as Markdown."""
    lines = [
        "# Commands",
        "",
        "`weaklink COMMAND --help` says the same. Exit codes: 0 done, 1 it could not be done (and why), 2 the command line is wrong, "
        "3 it is done but for rows or rejects that cannot be used (`partner publish`, `import`, `rejects`: they are named), "
        "130 interrupted (`demo`, `replay`).",
    ]
    for path, command in commands():
        usage = " ".join(["weaklink", *path, *_arguments(command)])
        lines += ["", f"## weaklink {' '.join(path)}", "", _plain(command.help or ""), "", "```", usage, "```"]
        rows = [_row(one) for one in command.params if not getattr(one, "hidden", False) and one.name != "help"]
        if rows:
            lines += ["", "| option or argument | default | meaning |", "|---|---|---|", *rows]
    return "\n".join(lines) + "\n"


def commands() -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with its path below `weaklink`."""
    yield from _below((), typer.main.get_command(app))


def _below(path: tuple[str, ...], command: Any) -> Iterator[tuple[tuple[str, ...], Any]]:
    children = getattr(command, "commands", {})
    if not children or (path and command.invoke_without_command):
        yield path, command
    for name, child in children.items():
        if not child.hidden:
            yield from _below((*path, name), child)


def _arguments(command: Any) -> list[str]:
    shown = []
    for one in command.params:
        if one.param_type_name == "argument":
            name = argument_name(one)
            shown.append(name if one.required or name.startswith("[") else f"[{name}]")
    return [*shown, "[OPTIONS]"] if any(one.param_type_name == "option" for one in command.params) else shown


def argument_name(one: Any) -> str:
    """An argument as the usage shows it."""
    name: str = (one.metavar or one.name.upper()).replace("|", " or ")  # a bar would end a table's cell
    return name if one.nargs == 1 or name.strip("[]").endswith("...") else f"{name}..."


def _row(one: Any) -> str:
    shown = [argument_name(one)] if one.param_type_name == "argument" else [*one.opts, *one.secondary_opts]
    name = ", ".join(f"`{option}`" for option in shown)
    default = "" if one.default is None or callable(one.default) or one.default == () else f"`{one.default}`"
    default = "required" if one.required else default
    return f"| {name} | {default} | {_plain(getattr(one, 'help', None) or '').replace('|', chr(92) + '|')} |"


def _plain(text: str) -> str:
    """Help is wrapped text with \\b marks; paragraphs stay."""
    paragraphs = text.replace("\b", "").strip().split("\n\n")
    return "\n\n".join(" ".join(one.split()) for one in paragraphs)
