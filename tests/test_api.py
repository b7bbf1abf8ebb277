"""The public API: listed, documented, and frozen in ``tests/public_api.txt``.

A change of that file is a change of what people's notebooks rely on: it needs a line in the CHANGELOG, and a
deprecation where something goes. ``python tests/test_api.py`` writes it anew.
"""

import difflib
import inspect
import re
from pathlib import Path

import dissmodel_lab
import dissmodel_lab.executor
from dissmodel_lab.commands.grammar import Grammar

ROOT = Path(__file__).resolve().parents[1]
FROZEN = Path(__file__).with_name("public_api.txt")
MODULES = (dissmodel_lab, dissmodel_lab.executor)


def described():
    """Return each public name with its signature; of classes their fields and methods; of commands their options."""
    lines = []
    for module in MODULES:
        for name in sorted(module.__all__):
            thing, home = getattr(module, name), f"{module.__name__}.{name}"
            is_known = module is not dissmodel_lab and getattr(dissmodel_lab, name, None) is thing
            lines += [f"{home} = dissmodel_lab.{name}"] if is_known else _of_name(home, thing)
    return "\n".join([*lines, *_of_commands()]) + "\n"


def _of_name(name, thing):
    if not inspect.isclass(thing):
        return [f"{name}{signature(thing)}"]
    fields = getattr(thing, "model_fields", {})
    lines = [f"class {name}", *(f"    {field}" for field in sorted(fields))]
    for member, value in sorted(vars(thing).items()):
        if member.startswith(("_", "model_")) or member in fields:
            continue
        function = getattr(value, "__func__", value)
        lines.append(f"    {member}{signature(function) if inspect.isfunction(function) else ''}")
    return lines


def signature(function):
    """Return names and defaults of the arguments; what they are said to be may become wider."""
    found = inspect.signature(function)
    bare = [
        argument.replace(annotation=argument.empty, default=_default(argument.default))
        for argument in found.parameters.values()
    ]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


def _default(value):
    return ... if type(value) is object or inspect.isfunction(value) else value


def _of_commands():
    grammar = Grammar("%dissmodel")
    for name in sorted(grammar.commands):
        options = sorted({*grammar.options(name)} - {"--help"})
        yield " ".join([f"%dissmodel {name}", *options])


def test_the_public_api_is_the_one_that_was_promised():
    now, promised = described().splitlines(), FROZEN.read_text(encoding="utf-8").splitlines()
    changes = [line for line in difflib.unified_diff(promised, now, lineterm="", n=0) if not line.startswith("@@")]
    assert changes == [], "\n".join(["The public API has changed (see the docstring):", *changes])


def test_every_public_name_stands_in_the_documentation():
    page = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    assert sorted(re.findall(r"^::: dissmodel_lab\.(\w+)$", page, re.MULTILINE)) == sorted(dissmodel_lab.__all__)


def test_every_public_name_says_what_it_does():
    silent = [name for module in MODULES for name in module.__all__ if not vars_doc(getattr(module, name))]
    assert silent == []


def vars_doc(thing):
    """Return the docstring that a thing has itself, not that of its base."""
    return (vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or ""


if __name__ == "__main__":
    FROZEN.write_text(described(), encoding="utf-8")
