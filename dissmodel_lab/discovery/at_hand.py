"""The executors at hand: imported, or defined in the notebook. Nothing is imported to find them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from dissmodel_lab.discovery.classes import (
    import_path,
    is_executor,
    newest,
    own_name,
    path_leads_to,
    root_of,
    subclasses_of,
)
from dissmodel_lab.executor.base import ExecutorRegistry, ModelExecutor
from dissmodel_lab.upstream import registered_executors

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_BUILT_IN = f"{ModelExecutor.__module__.partition('.')[0]}.models."


class Searched:
    """What a search of installed packages has brought into this process; empty before."""

    def __init__(self) -> None:
        self.names: dict[type[Any], str] = {}
        """Executor classes that packages hand out or declare, and their models' names."""
        self.aliases: dict[type[Any], str] = {}
        """The names of entry points that differ from those."""
        self.modules: set[str] = set()
        """Modules that are imported because of the search only."""


SEARCHED = Searched()


class FoundExecutor(NamedTuple):
    """An executor as the list of models shows it, or what stands in the way of it."""

    name: str
    """The model's name; empty when a package cannot be looked into."""
    path: str
    """Its import path; for what could not be imported, what should have been."""
    executor_class: type[Any] | None = None
    """None when it cannot be used; :attr:`problem` says why."""
    alias: str = ""
    """Another name that its entry point gives it."""
    variable: str = ""
    """The variable of the notebook that holds the class."""
    package: str = ""
    """The installed distribution that it comes from."""
    version: str = ""
    problem: str = ""
    """What a person has to know before using it; empty when there is nothing."""

    @property
    def is_built_in(self) -> bool:
        """Whether it is one of the models that come with this package."""
        return self.executor_class is not None and self.executor_class.__module__.startswith(_BUILT_IN)

    @property
    def way(self) -> str:
        """How a person names exactly this one."""
        if self.variable and self.executor_class is not None and not path_leads_to(self.executor_class):
            return self.variable
        return self.path

    @property
    def origin(self) -> str:
        """The package with its version."""
        return f"{self.package} {self.version}".strip()


def executors_at_hand(namespace: Mapping[str, Any] | None = None) -> list[FoundExecutor]:
    """
    Return the executors that are imported or defined in the notebook, sorted by name; nothing is imported.

    Parameters
    ----------
    namespace : mapping, optional
        The notebook's variables. A class that the notebook defines without a ``name`` is known by its
        variable's name.

    Returns
    -------
    list of FoundExecutor
        Two of one name are both there. A class that was defined anew, in a cell that was run again, is there
        once. Abstract bases, and subclasses with no name but their parent's, are not.

    Examples
    --------
    >>> class Flood:
    ...     name = "flood"
    ...     def validate(self, record): ...
    ...     def load(self, record): ...
    ...     def run(self, data, record): ...
    ...     def save(self, result, record): ...
    >>> [found.name for found in executors_at_hand({"Flood": Flood}) if found.variable]
    ['flood']
    """
    names = {executor_class: name for name, executor_class in _registered()}
    for executor_class in _walked():
        names.setdefault(executor_class, own_name(executor_class))
    for executor_class, name in SEARCHED.names.items():
        names.setdefault(executor_class, name)
    variables = _variables(namespace or {})
    for executor_class, variable in variables.items():
        names.setdefault(executor_class, own_name(executor_class) or variable)
    found = [
        FoundExecutor(
            names[executor_class],
            import_path(executor_class),
            executor_class,
            alias=SEARCHED.aliases.get(executor_class, ""),
            variable=variables.get(executor_class, ""),
        )
        for executor_class in newest(executor_class for executor_class in names if is_executor(executor_class))
    ]
    return sorted(found, key=lambda one: (one.name, one.path))


def executors_called(name: str, found: Iterable[FoundExecutor]) -> list[FoundExecutor]:
    """
    Return those that a bare name may mean: more than one when it is ambiguous.

    A built-in model goes before packages that were only searched, so that its name means the same before
    and after the search; what the person imported or defined is as good as a built-in model.

    Parameters
    ----------
    name : str
        What the person called it.
    found : iterable of FoundExecutor
        As :func:`executors_at_hand` returned them.

    Examples
    --------
    >>> executors_called("no such model", executors_at_hand())
    []
    """
    called = [one for one in found if one.executor_class is not None and name and name in (one.name, one.alias)]
    built_in = [one for one in called if one.is_built_in]
    if built_in and all(one.is_built_in or _only_searched(one) for one in called):
        return built_in
    return called


def _registered() -> Iterator[tuple[str, type[Any]]]:
    for name in ExecutorRegistry.list():
        yield name, ExecutorRegistry.get(name)
    for executor_class in registered_executors().values():
        # A subclass without a name of its own takes its parent's place in their registry.
        if isinstance(executor_class, type) and own_name(executor_class):
            yield own_name(executor_class), executor_class


def _walked() -> Iterator[type[Any]]:
    """
    Find classes that their registries have lost to another one of the same name.

    A class counts when its import path leads to it: what cannot be named cannot be chosen.
    """
    known = ExecutorRegistry.list()
    for executor_class in subclasses_of(ModelExecutor):
        # One of ours that nobody registered was kept out on purpose.
        if own_name(executor_class) in known and path_leads_to(executor_class):
            yield executor_class
    roots = {root_of(theirs) for theirs in registered_executors().values() if isinstance(theirs, type)}
    for root in roots - {None, ModelExecutor}:
        for executor_class in subclasses_of(root):
            if own_name(executor_class) and path_leads_to(executor_class):
                yield executor_class


def _variables(namespace: Mapping[str, Any]) -> dict[type[Any], str]:
    home = namespace.get("__name__", "__main__")
    return {
        value: key
        for key, value in reversed(list(namespace.items()))  # the first name of a class is the one to show
        if isinstance(value, type)
        and not key.startswith("_")
        and is_executor(value)
        and (own_name(value) or value.__module__ == home)
    }


def _only_searched(found: FoundExecutor) -> bool:
    assert found.executor_class is not None  # for the type checker: only those are asked about
    return not found.variable and found.executor_class.__module__ in SEARCHED.modules
