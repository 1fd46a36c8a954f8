"""The docstrings below the fields of a class, by name: Python keeps them in the source only."""

import ast
import inspect
import re
import textwrap
from typing import Final

_NAMES: Final = re.compile(r"^((?:`\w+`(?:, | and )?)+): (.*)")
_FAMILY: Final = re.compile(r"^`\*(_\w+)`: ")
"""A docstring that is for every field whose name ends so."""


def attribute_docstrings(cls: type) -> dict[str, str]:
    """Field -> the string that follows it, for the fields that `cls` itself declares; or its line "`field`: ..." in the class's own docstring."""
    (definition,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
    assert isinstance(definition, ast.ClassDef)
    found = _from_class_docstring(inspect.getdoc(cls) or "")
    fields = [one for one in definition.body if isinstance(one, ast.AnnAssign)]
    for field, after in zip(definition.body, definition.body[1:], strict=False):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(after, ast.Expr)
            and isinstance(after.value, ast.Constant)
            and isinstance(after.value.value, str)
        ):
            text = " ".join(after.value.value.split())
            found[field.target.id] = text
            if match := _FAMILY.match(text):
                declared = [one.target.id for one in fields if isinstance(one.target, ast.Name)]
                found |= {name: text for name in declared if name.endswith(match[1]) and name not in found}
    return found


def summary(cls: type) -> str:
    """The class's docstring without the lines on single fields, and without the sentence on environment variables."""
    kept: list[str] = []
    field = False
    for line in (inspect.getdoc(cls) or "").splitlines():
        field = bool(_NAMES.match(line)) or (field and line.strip() != "" and line.startswith(" "))
        if not field:
            kept.append(line)
    text = re.sub(r"\(environment: WEAKLINK_[A-Z_]+<NAME>\)|Environment: WEAKLINK_[A-Z_]+<NAME>\.", "", " ".join(kept))
    return " ".join(text.split()).replace(" .", ".")


def _from_class_docstring(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    names: list[str] = []
    for line in text.splitlines():
        if match := _NAMES.match(line):
            names = re.findall(r"`(\w+)`", match[1])
            found |= dict.fromkeys(names, match[2])
        elif line.startswith(" ") and line.strip():
            found |= {name: f"{found[name]} {line.strip()}" for name in names}
        else:
            names = []
    return found
