"""A model and its parameters -> the body of a submission that means the same at the server.

The server's worker merges only ``[model.parameters]`` of a TOML: keys that stand under ``[model]`` itself, as
``dissmodel`` 0.6.4 and later read them, would be lost. So the merged parameters are sent, and stand in both places.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from math import isfinite
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from dissmodel_lab.errors import PlatformError, shown
from dissmodel_lab.executor.schemas import METADATA_KEYS
from dissmodel_lab.language import message
from dissmodel_lab.parameters import ModelSpec, refuse_deep
from dissmodel_lab.sources import existing_files

if TYPE_CHECKING:
    from collections.abc import Iterable

PRIORITIES = ("low", "normal", "high")
FORMATS = ("auto", "tiff", "vector")


class PackageError(PlatformError):
    """
    A TOML names a package, which the server's worker would install, and nobody has agreed to that yet.

    Parameters
    ----------
    package : str
        What ``package`` of ``[model]`` says.
    """

    def __init__(self, package: str) -> None:
        super().__init__(
            message(
                "The TOML names package = {package!r}. Its worker installs that with pip before the run, whatever "
                "is in it, for everybody who uses that worker. Submit it again with --yes (in Python: "
                "packages=[{package!r}]) if you trust it, or remove the line if the worker has the package.",
                package=shown(package),
            )
        )
        self.package = package


def package_in(spec: ModelSpec) -> str:
    r"""
    Return the package that a TOML wants to be installed; empty when it names none.

    Examples
    --------
    >>> package_in(ModelSpec.from_text('[model]\nclass = "flood"\npackage = "coastal==0.1"'))
    'coastal==0.1'
    """
    model = spec.document.get("model")
    said = model.get("package", "") if isinstance(model, dict) else ""
    return str(said).strip()


def refuse_package(spec: ModelSpec, packages: Iterable[str] = ()) -> None:
    """
    Refuse a TOML whose package nobody has agreed to.

    Parameters
    ----------
    spec : ModelSpec
        The TOML.
    packages : iterable of str
        What was agreed to, exactly as ``package`` says it.

    Raises
    ------
    PackageError
        When it names another one.

    Examples
    --------
    >>> refuse_package(ModelSpec.from_text('model = {class = "flood"}'))
    """
    package = package_in(spec)
    if package and package not in packages:
        raise PackageError(package)


def sendable(parameters: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """
    Return parameters as JSON carries them, and what changes on the way.

    Parameters
    ----------
    parameters : mapping
        Values by name.

    Returns
    -------
    dict
        Tables, lists, texts, numbers, truth values, nulls.
    list of str
        One sentence for each value that arrives as another one.

    Raises
    ------
    PlatformError
        For a value that would silently become something else: NaN and infinity become null at the server.

    Examples
    --------
    >>> import datetime
    >>> sendable({"years": 3, "start": datetime.date(2020, 1, 1)})
    ({'years': 3, 'start': '2020-01-01'}, ["Parameter start arrives as the text '2020-01-01'."])
    >>> sendable({"rise": float("nan")})
    Traceback (most recent call last):
    dissmodel_lab.errors.PlatformError: Parameter rise is nan, which the platform would turn into null. ...
    """
    refuse_deep(dict(parameters), "The parameters")
    changes: list[str] = []
    return {_name(name, ""): _plain(value, str(name), changes) for name, value in parameters.items()}, changes


def _name(name: Any, place: str) -> str:
    if isinstance(name, str):
        return name
    raise PlatformError(
        message(
            "The name {name!r}{words} is no text, and JSON has no others. Write it as a text.",
            name=shown(name),
            words=message(" in parameter {place}", place=place) if place else "",
        )
    )


def _plain(value: Any, place: str, changes: list[str]) -> Any:
    if hasattr(value, "item") and callable(value.item) and getattr(value, "shape", None) == ():
        value = value.item()  # a scalar of numpy
    if hasattr(value, "tolist") and callable(value.tolist):
        value = value.tolist()
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if isfinite(value):
            return float(value)
        raise PlatformError(
            message(
                "Parameter {place} is {value}, which the platform would turn into null. Give a finite number, or a "
                "text.",
                place=place,
                value=value,
            )
        )
    if isinstance(value, Mapping):
        return {_name(name, place): _plain(item, f"{place}.{name}", changes) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{place}[{index}]", changes) for index, item in enumerate(value)]
    if isinstance(value, dt.date | dt.time | PurePath):
        text = value.as_posix() if isinstance(value, PurePath) else value.isoformat()
        changes.append(message("Parameter {place} arrives as the text {text!r}.", place=place, text=text))
        return text
    raise PlatformError(
        message(
            "Parameter {place} is a {kind}, which cannot be sent to a platform. Give numbers, texts, truth values, "
            "lists and tables of them.",
            place=place,
            kind=type(value).__name__,
        )
    )


def local_files(parameters: Mapping[str, Any]) -> list[str]:
    """
    Say which parameters name files of this machine, which the server does not have.

    Examples
    --------
    >>> local_files({"years": 3})
    []
    """
    return [
        message(
            "Parameter {place} names {path!r}, a file of this machine: the platform does not have it. Upload it, "
            "and give its s3:// address if the model reads one.",
            place=place,
            path=str(path),
        )
        for place, path in existing_files(dict(parameters))
    ]


def inline_toml(
    spec: ModelSpec,
    parameters: Mapping[str, Any],
    *,
    class_name: str = "",
    executor_module: str = "",
    token: str = "",
) -> str:
    r"""
    Write a TOML that the server's worker understands as it was meant.

    Parameters
    ----------
    spec : ModelSpec
        The modeller's own.
    parameters : mapping
        All of them, merged, as :func:`sendable` returns them.
    class_name, executor_module : str
        What the TOML itself leaves out: the model's name, and the module to import before it is looked up.
    token : str
        A mark by which the job is found again in the server's list, where it stands in the model's name.

    Returns
    -------
    str
        TOML 1.0.

    Examples
    --------
    >>> spec = ModelSpec.from_text('[model]\nclass = "flood"\nyears = 5')
    >>> print(inline_toml(spec, {"years": 7}, executor_module="lab.floods", token="1a2b"))
    [model]
    class = "flood"
    name = "flood (1a2b)"
    executor_module = "lab.floods"
    years = 7
    <BLANKLINE>
    [model.parameters]
    years = 7
    <BLANKLINE>
    """
    import tomlkit  # noqa: PLC0415 -- only for those who submit TOML

    said = spec.document.get("model")
    given = dict(said) if isinstance(said, dict) else {}
    own = {name: value for name, value in given.items() if name != "parameters"}
    values = {name: item for name, value in parameters.items() if (item := _without_null(value)) is not None}
    flat = {name: value for name, value in values.items() if name not in METADATA_KEYS}
    class_name = spec.model or class_name
    head = {
        "class": class_name,
        "name": f"{own.get('name') or class_name} ({token})" if token else str(own.get("name") or class_name),
    }
    module = spec.executor_module or executor_module
    head |= {"executor_module": module} if module else {}
    table = {**head, **{name: value for name, value in own.items() if name not in head}, **flat, "parameters": values}
    scalars = {name: value for name, value in table.items() if not _is_tabular(value)}
    tables = {name: value for name, value in table.items() if _is_tabular(value)}
    text: str = tomlkit.dumps({"model": {**scalars, **tables}})
    return text


def _is_tabular(value: Any) -> bool:
    return isinstance(value, dict) or (isinstance(value, list) and any(isinstance(item, dict) for item in value))


def _without_null(value: Any) -> Any:
    """Return a value without nulls, which TOML does not have: they are sent beside it."""
    if isinstance(value, dict):
        return {name: item for name, inner in value.items() if (item := _without_null(inner)) is not None}
    if isinstance(value, list):
        return [item for inner in value if (item := _without_null(inner)) is not None]
    return value


def choose(value: str, allowed: tuple[str, ...], what: str) -> str:
    """
    Return a value that the server allows.

    Raises
    ------
    PlatformError
        When it is another one.

    Examples
    --------
    >>> choose("urgent", PRIORITIES, "priority")
    Traceback (most recent call last):
    dissmodel_lab.errors.PlatformError: The priority 'urgent' is unknown to a platform. It takes low, normal, high.
    """
    if value in allowed:
        return value
    raise PlatformError(
        message(
            "The {what} {value!r} is unknown to a platform. It takes {allowed}.",
            what=what,
            value=shown(value),
            allowed=", ".join(allowed),
        )
    )
