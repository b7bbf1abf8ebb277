"""One command grammar for the cell and the terminal: names, options, help and completion.

Words come in, a parsed command or completions go out. Showing is the doors' business (magics, cli).
"""

from __future__ import annotations

import argparse
import itertools
import keyword
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from dissmodel_lab.errors import CommandError, did_you_mean
from dissmodel_lab.parameters import ModelSpec, parameter_schema, parse_assignment
from dissmodel_lab.resolve import model_names, resolve_class

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dissmodel_lab.store import RunStore

MODELS, RUN, RECORD, FORM, VALIDATE = "models", "run", "record", "form", "validate"
SHOW, RUNS, HELP = "show", "runs", "help"

_SUMMARIES = {
    MODELS: "list the models that can be run, those of installed packages included",
    FORM: "show a form for a model's parameters (in a notebook)",
    RUN: "run a model and keep its record",
    RECORD: "run the code of this cell as a model and keep its record (in a notebook)",
    VALIDATE: "check model, parameters and input without running",
    SHOW: "show one run: phases, maps, parameters, provenance",
    RUNS: "list the runs that were kept, newest first",
    HELP: "explain a command",
}
_PARAM = ("--param", "-p")
_VALUED = ("--input", "--output", "--toml", "--as", "--limit", "--name")
"""Options that are followed by a value."""
_LONGEST_NAME = 100
"""Of a recorded cell's model [characters]."""
_TAKEN = ("In", "Out", "get_ipython", "exit", "quit")
"""Names of a notebook's own, which must not be lost."""
_EXAMPLES = {
    RUN: "run coastal_flood --param sea_level_rise=0.5 --output out/flood.tif",
    RECORD: "record --input grid --output grid",
    FORM: "form coastal_flood",
    VALIDATE: "validate coastal_flood --param years=20",
    SHOW: "show last",
    RUNS: "runs --limit 5",
    MODELS: "models",
    HELP: "help run",
}


@dataclass(frozen=True)
class Command:
    """A command as it was understood."""

    name: str
    model: str = ""
    input: str | None = None
    output: str | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    toml: str | None = None
    variable: str | None = None
    """Name of the notebook's variable that gets the record (``--as``)."""
    run_id: str = ""
    limit: int = 20
    as_json: bool = False
    preflight: bool = True
    cell_name: str = "cell"
    """What the model of a recorded cell is called (``--name``)."""
    text: str = ""
    """For ``help``: the text to show."""


class _HelpWanted(Exception):  # noqa: N818 -- control flow inside of this module, no error
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"{self.prog}: {message}. Usage: {' '.join(self.format_usage().split()[1:])}")

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 -- argparse's signature
        raise _HelpWanted(self.format_help())


class Grammar:
    """
    The commands and their options.

    Parameters
    ----------
    prog : str
        How the commands are called: ``%dissmodel`` or ``dissmodel-lab``. A name with ``%`` is the notebook's,
        which has variables for ``--as``; the terminal's commands can print ``--json`` instead.
    commands : sequence of str
        Those that this door offers.
    model : str, optional
        A fixed model; the commands then take none.

    Examples
    --------
    >>> grammar = Grammar("dissmodel-lab")
    >>> command = grammar.parse(["run", "flood", "--param", "years=5"])
    >>> command.name, command.model, command.parameters
    ('run', 'flood', {'years': 5})
    >>> grammar.parse(["rnu"])
    Traceback (most recent call last):
    dissmodel_lab.errors.CommandError: dissmodel-lab has no command 'rnu'. Did you mean 'run'? ...
    """

    def __init__(self, prog: str, commands: Sequence[str] = tuple(_SUMMARIES), model: str = "") -> None:
        self.prog = prog
        self._in_notebook = prog.startswith("%")
        self._model = model
        self._parsers = {name: self._parser(name) for name in commands}

    @property
    def commands(self) -> list[str]:
        """Names of the commands."""
        return list(self._parsers)

    def parse_line(self, line: str) -> Command:
        """
        Understand a line as a shell would split it.

        Raises
        ------
        CommandError
            When it cannot be understood.
        """
        try:
            words = shlex.split(line)
        except ValueError as error:
            raise CommandError(f"{self.prog}: {error} in {line!r}. Close the quotation marks.") from error
        return self.parse(words)

    def parse(self, words: Sequence[str]) -> Command:
        """
        Understand a list of words.

        Raises
        ------
        CommandError
            When they cannot be understood.
        """
        if not words or words[0] in (HELP, "-h", "--help"):
            about = words[1] if len(words) > 1 else ""
            return Command(HELP, text=self._help(HELP if about in ("-h", "--help") else about))
        parser = self._parser_of(words[0])
        try:
            options, rest = parser.parse_known_args(list(words[1:]))
        except _HelpWanted as wanted:
            return Command(HELP, text=wanted.text)
        self._refuse_rest(words[0], rest)
        return self._command(words[0], options)

    def options(self, command: str) -> list[str]:
        """Return the long options of a command."""
        parser = self._parsers.get(command)
        actions = parser._actions if parser is not None else []  # noqa: SLF001 -- argparse has no public list
        return [option for action in actions for option in action.option_strings if option.startswith("--")]

    def _command(self, name: str, options: argparse.Namespace) -> Command:
        known = vars(options)
        parameters = dict(parse_assignment(text) for text in known.pop("param", None) or [])
        model = known.pop("model", None) or self._model
        if name in (RUN, FORM, VALIDATE) and not model:
            model = known.get("toml") or ""
            if not model:
                raise CommandError(
                    f"{self.prog} {name} needs a model: a name, package.module:Class, or a .toml file. "
                    f"Write for example: {self.prog} {_EXAMPLES[name]}"
                )
            known["toml"] = None
        return Command(name, model=model, parameters=parameters, **known)

    def _parser_of(self, name: str) -> _Parser:
        if name not in self._parsers:
            raise CommandError(f"{self.prog} has no command {name!r}. {did_you_mean(name, self._parsers)}")
        return self._parsers[name]

    def _refuse_rest(self, name: str, rest: Sequence[str]) -> None:
        for word in rest:
            if word.startswith("-"):
                option = word.partition("=")[0]
                raise CommandError(
                    f"{self.prog} {name} has no option {option!r}. {did_you_mean(option, self.options(name))}"
                )
        if rest:
            raise CommandError(
                f"{self.prog} {name} does not know what to do with {rest[0]!r}. "
                f"Write for example: {self.prog} {_EXAMPLES[name]}"
            )

    def _help(self, name: str) -> str:
        if name:
            return self._parser_of(name).format_help()
        width = max(map(len, self._parsers))
        lines = [f"  {command.ljust(width)}  {_SUMMARIES[command]}" for command in self._parsers]
        return "\n".join(
            [f"{self.prog} COMMAND [options]", "", *lines, "", f"More on each: {self.prog} help COMMAND"]
        )

    def _parser(self, name: str) -> _Parser:
        example = (
            _EXAMPLES[name].replace("coastal_flood ", "").replace("coastal_flood", "")
            if self._model
            else _EXAMPLES[name]
        )
        parser = _Parser(
            prog=f"{self.prog} {name}",
            description=_SUMMARIES[name],
            epilog=f"Example: {self.prog} {example.strip()}",
            allow_abbrev=False,
        )
        if name in (RUN, FORM, VALIDATE):
            if not self._model:
                parser.add_argument(
                    "model", nargs="?", metavar="MODEL", help="name, package.module:Class or .toml file"
                )
            parser.add_argument("--input", metavar="URI", help="the input; the model's own sample when left out")
            parser.add_argument(
                "--param", "-p", action="append", metavar="NAME=VALUE", help="a TOML value; a bare word is a text"
            )
            parser.add_argument("--toml", metavar="FILE", help="a TOML file with parameters")
        if name == RUN:
            parser.add_argument(
                "--no-preflight",
                dest="preflight",
                action="store_false",
                help="do not look at the files first",
            )
        if name in (RUN, FORM, VALIDATE):
            parser.add_argument("--output", metavar="PATH", help="the output; in the run's own folder when left out")
        if name == RECORD:
            parser.add_argument("--input", metavar="NAME", help="the variable that is the input, or a file's path")
            parser.add_argument("--output", metavar="NAME", help="the variable that holds the result")
            parser.add_argument(
                "--name", dest="cell_name", default="cell", type=_title, metavar="NAME", help="the model's name"
            )
        if name in (RUN, RECORD) and self._in_notebook:
            parser.add_argument(
                "--as", dest="variable", type=_variable, metavar="NAME", help="the variable that gets the record"
            )
        if name == SHOW:
            parser.add_argument("run_id", metavar="ID", help="first characters of a run's id, or: last")
        if name == RUNS:
            parser.add_argument("--limit", type=_count, default=20, metavar="N", help="how many (20)")
        if name in (RUN, SHOW, RUNS, MODELS, VALIDATE) and not self._in_notebook:
            parser.add_argument("--json", dest="as_json", action="store_true", help="print JSON and nothing else")
        return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 on is needed, got {text!r}")
    return int(text)


def _title(text: str) -> str:
    if not text.strip() or not text.isprintable() or len(text) > _LONGEST_NAME:
        raise argparse.ArgumentTypeError(
            f"a name of 1 to {_LONGEST_NAME} letters, digits and other signs on one line is needed, got {text!r:.120}"
        )
    return text.strip()


def _variable(text: str) -> str:
    if not text.isidentifier() or keyword.iskeyword(text) or text in _TAKEN:
        raise argparse.ArgumentTypeError(
            f"a name for a variable is needed, got {text!r}; letters, digits and _ are allowed, but no digit at "
            f"the start, no word of Python's own and none of {', '.join(_TAKEN)}"
        )
    return text


def cell_spec(body: str) -> ModelSpec:
    """
    Read the body of a ``%%dissmodel`` cell: parameters, or a whole ``[model]``, in TOML.

    Raises
    ------
    ParameterError
        When it is not TOML; line 1 is the first line under the ``%%dissmodel`` line.
    """
    return ModelSpec.from_text(body, origin="The cell's body")


@dataclass(frozen=True)
class Completions:
    """What Tab offers."""

    fragment: str
    """The unfinished word they replace."""
    words: list[str]


def complete(
    grammar: Grammar, before: str, *, namespace: Mapping[str, Any] | None = None, store: RunStore | None = None
) -> Completions:
    """
    Complete the last word of an unfinished command.

    Parameters
    ----------
    grammar : Grammar
        The door's commands.
    before : str
        What stands between the program's name and the cursor.
    namespace : mapping, optional
        The notebook's variables.
    store : RunStore, optional
        Where run ids are looked up.

    Examples
    --------
    >>> complete(Grammar("%dissmodel"), "run coastal_flood --par").words
    ['--param']
    """
    words = before.split(" ")
    fragment, done = words[-1], [word for word in words[:-1] if word]
    if not done:
        return _fitting(fragment, grammar.commands)
    command, last = done[0], done[-1]
    if last in _PARAM:
        return _fitting(fragment, [f"{name}=" for name in _parameter_names(done, namespace)])
    if fragment.startswith("--param="):
        return _fitting(fragment, [f"--param={name}=" for name in _parameter_names(done, namespace)])
    if last in _VALUED:
        return Completions(fragment, [])  # the front end's own completion of paths
    if fragment.startswith("-"):
        return _fitting(fragment, grammar.options(command))
    if command == HELP:
        return _fitting(fragment, grammar.commands)
    if command in (RUN, FORM, VALIDATE) and len(done) == 1:
        return _fitting(fragment, [name for name in model_names(namespace) if shlex.quote(name) == name])
    if command == SHOW and len(done) == 1 and store is not None:
        return _fitting(fragment, ["last", *(entry.experiment_id[:8] for entry in store.entries())])
    return _fitting(fragment, grammar.options(command))


def _fitting(fragment: str, words: Sequence[str]) -> Completions:
    return Completions(fragment, [word for word in words if word.startswith(fragment)])


def _parameter_names(done: Sequence[str], namespace: Mapping[str, Any] | None) -> list[str]:
    words = [word for before, word in itertools.pairwise(done) if before not in (*_PARAM, *_VALUED)]
    model = next((word for word in words if not word.startswith("-")), "")
    try:
        schema = parameter_schema(resolve_class(model, namespace=namespace, search=False))
    except Exception:  # noqa: BLE001 -- an unfinished name has nothing to offer, nor has a module that cannot be imported
        return []
    return list(schema.model_fields)
