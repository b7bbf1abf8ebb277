"""Words in, a parsed command out: the one grammar of the cell and the terminal."""

from __future__ import annotations

import argparse
import re
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

from dissmodel_lab.commands import words as w
from dissmodel_lab.errors import CommandError, did_you_mean
from dissmodel_lab.index import RunQuery
from dissmodel_lab.language import Message, language, mark, message, say
from dissmodel_lab.parameters import ModelSpec, parse_assignment

if TYPE_CHECKING:
    from collections.abc import Sequence

_FILTER = ("model", "status", "tag", "source_sha256", "since", "until", "where")
_MAY_BEGIN_WITH_A_DASH = ("--sort",)
"""Options whose value is told from an option only by its place."""


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
    preflight: bool = True
    cell_name: str = "cell"
    """What the model of a recorded cell is called (``--name``)."""
    run_id: str = ""
    other_id: str = ""
    """The second run of ``compare``."""
    run_ids: tuple[str, ...] = ()
    """Of ``export``."""
    query: RunQuery = field(default_factory=RunQuery)
    """Which runs, of ``runs`` and ``export``."""
    columns: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    untag: tuple[str, ...] = ()
    note: str = ""
    band: str | None = None
    before_band: str | None = None
    key: str | None = None
    common_grid: bool = False
    executor: str = ""
    """What ``rerun`` runs when the record cannot say it."""
    base_folder: str | None = None
    tolerance: float | None = None
    any_version: bool = False
    timeout: float | None = None
    format: str = ""
    path: str = ""
    """What ``import`` reads."""
    language: str = "en"
    engine: str | None = None
    """None for the usual one: here; in worker processes for a sweep, in the background, or with limits."""
    workers: int | None = None
    address: str | None = None
    url: str | None = None
    seconds: float | None = None
    """Longest time of a run [s]."""
    memory: int | None = None
    """Most memory of a run [bytes]."""
    priority: str = "normal"
    background: bool = False
    end_with_kernel: bool = False
    axes: dict[str, str] = field(default_factory=dict)
    """Of ``sweep``: each parameter's range or values, as they were typed."""
    sample: str = "grid"
    samples: int | None = None
    seeds: int = 1
    metric: str = ""
    yes: bool = False
    resume: str = ""
    changed_code: bool = False
    """Go on with a sweep although its model's source has changed."""
    sweep_id: str = ""
    action: str = ""
    """Of ``platform``."""
    label: str = ""
    sources: tuple[str, ...] = ()
    """What ``map`` shows."""
    part: str | None = None
    style: str | None = None
    colours: str = ""
    reverse: bool = False
    limits: tuple[float, float] | None = None
    classify: str = ""
    n_classes: int = 5
    basemap: str = "none"
    as_json: bool = False
    text: str = ""
    """For ``help``: the text to show."""

    @property
    def is_inline(self) -> bool:
        """Whether a run is carried out in this process."""
        has_limits = self.seconds is not None or self.memory is not None
        return self.engine == "inline" or (self.engine is None and not self.background and not has_limits)


class _HelpWanted(Exception):  # noqa: N818 -- control flow inside of this module, no error
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class _Formatter(argparse.HelpFormatter):
    def add_usage(self, usage: Any, actions: Any, groups: Any, prefix: str | None = None) -> None:
        super().add_usage(usage, actions, groups, say("usage: ") if prefix is None else prefix)


class _Parser(argparse.ArgumentParser):
    def __init__(self, **options: Any) -> None:
        # An error that is raised can be said in any language; one that argparse writes itself cannot.
        super().__init__(formatter_class=_Formatter, exit_on_error=False, add_help=False, **options)
        self._positionals.title = say("positional arguments")
        self._optionals.title = say("options")
        self.add_argument("-h", "--help", action="help", help=say("show this help message and exit"))

    def parse(self, words: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
        """Return the options, and the words that are none."""
        try:
            return self.parse_known_args(words)
        except argparse.ArgumentError as error:
            raise self._refusal(error.message, error.argument_name) from error

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        try:
            return super()._get_value(action, arg_string)
        except argparse.ArgumentError as error:
            cause = error.__context__
            if isinstance(cause, argparse.ArgumentTypeError) and len(cause.args) == 1:
                error.message = cause.args[0]  # argparse keeps the English words of it alone
            raise

    def error(self, message: str) -> NoReturn:
        raise self._refusal(message, None)

    def _refusal(self, problem: str, argument: str | None) -> CommandError:
        facts = {
            "prog": self.prog,
            "problem": problem if isinstance(problem, Message) else _problem_of_argparse(problem),
            "usage": " ".join(self.format_usage().split()[1:]),
        }
        if argument is None:
            return CommandError(message("{prog}: {problem}. Usage: {usage}", **facts))
        if problem.endswith("."):
            return CommandError(
                message("{prog}: argument {argument}: {problem} Usage: {usage}", argument=argument, **facts)
            )
        return CommandError(
            message("{prog}: argument {argument}: {problem}. Usage: {usage}", argument=argument, **facts)
        )

    def print_help(self, file: Any = None) -> None:  # noqa: ARG002 -- argparse's signature
        raise _HelpWanted(self.format_help())


def _problem_of_argparse(said: str) -> str:
    """Return what argparse said as a message; what is not known stays English."""
    required = re.fullmatch(r"the following arguments are required: (.*)", said)
    if required:
        return message("the following arguments are required: {names}", names=required[1])
    ignored = re.fullmatch(r"ignored explicit argument (.*)", said)
    if ignored:
        return message("ignored explicit argument {value}", value=ignored[1])
    return Message(said) if said in _OF_ARGPARSE else said


_OF_ARGPARSE = frozenset((mark("expected one argument"), mark("expected at least one argument")))


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

    def __init__(self, prog: str, commands: Sequence[str] = tuple(w.SUMMARIES), model: str = "") -> None:
        self.prog = prog
        self._door = w.Door(prog, model)
        self._commands = tuple(commands)
        self._parsers: dict[tuple[str, str], _Parser] = {}

    @property
    def commands(self) -> list[str]:
        """Names of the commands."""
        return list(self._commands)

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
            if "escape" in str(error):
                problem = message(
                    "{prog}: No escaped character in {line!r}. Take the last backslash away.",
                    prog=self.prog,
                    line=line,
                )
            else:
                problem = message(
                    "{prog}: No closing quotation in {line!r}. Close the quotation marks.", prog=self.prog, line=line
                )
            raise CommandError(problem) from error
        return self.parse(words)

    def parse(self, words: Sequence[str]) -> Command:
        """
        Understand a list of words.

        Raises
        ------
        CommandError
            When they cannot be understood.
        """
        if not words or words[0] in (w.HELP, "-h", "--help"):
            about = words[1] if len(words) > 1 else ""
            return Command(w.HELP, text=self._help(w.HELP if about in ("-h", "--help") else about))
        parser = self._parser_of(words[0])
        try:
            options, rest = parser.parse(_glued(words[1:]))
        except _HelpWanted as wanted:
            return Command(w.HELP, text=wanted.text)
        if words[0] == w.EXPORT:  # argparse finds several runs in one place only, before or behind the options
            options.run_ids += [word for word in rest if not word.startswith("-")]
            rest = [word for word in rest if word.startswith("-")]
        self._refuse_rest(words[0], rest)
        return self._command(words[0], options)

    def options(self, command: str) -> list[str]:
        """Return the long options of a command."""
        return [
            option for action in self._actions(command) for option in action.option_strings if option.startswith("--")
        ]

    def valued_options(self, command: str) -> list[str]:
        """Return the options of a command that are followed by a value."""
        return [option for action in self._actions(command) if action.nargs != 0 for option in action.option_strings]

    def _actions(self, command: str) -> list[argparse.Action]:
        known = command in self._commands
        return self._parser_of(command)._actions if known else []  # noqa: SLF001 -- argparse has no public list

    def _command(self, name: str, options: argparse.Namespace) -> Command:
        known = vars(options)
        if name in (w.RUNS, w.EXPORT):
            known["query"] = _query(known)
        assignments = known.pop("param", None) or []
        if name == w.SWEEP:
            known["axes"] = dict(_axis(text) for text in assignments if _is_axis(text))
            assignments = [text for text in assignments if not _is_axis(text)]
        parameters = dict(parse_assignment(text) for text in assignments)
        model = known.pop("model", None) or self._door.model
        if name in (w.RUN, w.FORM, w.VALIDATE, w.SWEEP) and not model and not known.get("resume"):
            model = known.get("toml") or ""
            if not model:
                raise CommandError(
                    message(
                        "{prog} {command} needs a model: a name, package.module:Class, or a .toml file. "
                        "Write for example: {prog} {example}",
                        prog=self.prog,
                        command=name,
                        example=w.EXAMPLES[name],
                    )
                )
            known["toml"] = None
        facts: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in known.items()
        }
        return Command(name, model=model, parameters=parameters, **facts)

    def _parser_of(self, name: str) -> _Parser:
        if name not in self._commands:
            hint = did_you_mean(name, self._commands)
            raise CommandError(
                message("{prog} has no command {name!r}. {hint}", prog=self.prog, name=name, hint=hint)
            )
        key = (name, language())  # help is written when a parser is made
        if key not in self._parsers:
            self._parsers[key] = self._parser(name)
        return self._parsers[key]

    def _refuse_rest(self, name: str, rest: Sequence[str]) -> None:
        for word in rest:
            if word.startswith("-"):
                option = word.partition("=")[0]
                raise CommandError(
                    message(
                        "{prog} {command} has no option {option!r}. {hint}",
                        prog=self.prog,
                        command=name,
                        option=option,
                        hint=did_you_mean(option, self.options(name)),
                    )
                )
        if rest:
            raise CommandError(
                message(
                    "{prog} {command} does not know what to do with {word!r}. Write for example: {prog} {example}",
                    prog=self.prog,
                    command=name,
                    word=rest[0],
                    example=w.EXAMPLES[name],
                )
            )

    def _help(self, name: str) -> str:
        if name:
            return self._parser_of(name).format_help()
        width = max(map(len, self._commands))
        lines = [f"  {command.ljust(width)}  {say(w.SUMMARIES[command])}" for command in self._commands]
        head = say("{prog} COMMAND [options]", prog=self.prog)
        return "\n".join([head, "", *lines, "", say("More on each: {prog} help COMMAND", prog=self.prog)])

    def _parser(self, name: str) -> _Parser:
        example = w.EXAMPLES[name]
        if self._door.model:
            example = example.replace("coastal_flood ", "").replace("coastal_flood", "").strip()
        parser = _Parser(
            prog=f"{self.prog} {name}",
            description=say(w.SUMMARIES[name]),
            epilog=say("Example: {command}", command=f"{self.prog} {example}"),
            allow_abbrev=False,
        )
        w.add_arguments(parser, name, self._door)
        return parser


def _glued(words: Sequence[str]) -> list[str]:
    """Join an option and its value where argparse would take the value for another option: ``--sort -seconds``."""
    glued: list[str] = []
    for word in words:
        if glued and glued[-1] in _MAY_BEGIN_WITH_A_DASH:
            glued[-1] += f"={word}"
        else:
            glued.append(word)
    return glued


def _is_axis(assignment: str) -> bool:
    """Tell whether ``name=text`` gives several values: a range, a list."""
    text = assignment.partition("=")[2].strip()
    return text[:1] not in ("'", '"', "{") and (text[:1] == "[" or "," in text or ":" in text)


def _axis(assignment: str) -> tuple[str, str]:
    name, _, text = assignment.partition("=")
    return name.strip(), text.strip()


def _query(known: dict[str, Any]) -> RunQuery:
    facts = {name: said for name in _FILTER if (said := known.pop(name)) is not None}
    if "limit" in known:  # a page of a list; an export takes all
        limit = known.pop("limit")
        facts |= {"sort": known.pop("sort"), "limit": limit, "offset": (known.pop("page") - 1) * limit}
    return RunQuery(**facts)


def cell_spec(body: str) -> ModelSpec:
    """
    Read the body of a ``%%dissmodel`` cell: parameters, or a whole ``[model]``, in TOML.

    Raises
    ------
    ParameterError
        When it is not TOML; line 1 is the first line under the ``%%dissmodel`` line.
    """
    return ModelSpec.from_text(body, origin=message("The cell's body"))
