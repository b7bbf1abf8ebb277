"""Making an environment with ``venv`` and pip: whole or not at all, once however many processes want it."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from contextlib import suppress
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dissmodel_lab
from dissmodel_lab.environments.consent import Consent, InstallPlan, refuse_without_consent
from dissmodel_lab.environments.packages import PackageSpec, package_spec
from dissmodel_lab.environments.places import (
    Environment,
    discard,
    environments_folder,
    locked,
    python_in,
    read_environment,
    write_card,
)
from dissmodel_lab.errors import InstallError
from dissmodel_lab.language import message
from dissmodel_lab.redaction import redact_text, redact_uri

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PYPI = "https://pypi.org/simple"
_LINES = 12
"""How many of pip's last lines a message has."""
_LOG_NAME = "install.log"
_KEPT_LOG = 64 * 1024
#: Variables with which pip would install elsewhere or something else, or which lead another Python astray.
_LEFT_OUT = (
    *("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_PYTHON", "PIP_EDITABLE", "PIP_REQUIREMENT"),
    *("PIP_DRY_RUN", "PIP_REPORT", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP", "VIRTUAL_ENV"),
)
_IS_USABLE = "import cloudpickle, dissmodel_lab.runner, dissmodel_lab.engines.worker_side"
"""What must work in an environment before it is called ready."""


def plan_of(package: str | PackageSpec, *, folder: str | Path | None = None) -> InstallPlan:
    """
    Say what installing a package would mean; nothing is installed.

    Parameters
    ----------
    package : str or PackageSpec
        As a request names it.
    folder : str or Path, optional
        Of environments; see :func:`~dissmodel_lab.environments.environments_folder`.

    Raises
    ------
    InstallError
        When it cannot be a package.

    Examples
    --------
    >>> print(plan_of("disslucc", folder="cache"))
    The package 'disslucc' is to be installed from ... into an environment of its own, ...
    """
    spec = package if isinstance(package, PackageSpec) else package_spec(package)
    indexes = _indexes()
    key = {
        "package": spec.text,
        "indexes": indexes,
        "python": sys.version,
        "lab": dissmodel_lab.__version__,
        "beneath": [sys.prefix, _own_folder()],
    }
    name = hashlib.sha256(json.dumps(key).encode()).hexdigest()[:32]
    version = ".".join(map(str, sys.version_info[:3]))
    shown = tuple(redact_uri(index) for index in indexes)
    return InstallPlan(package=spec, indexes=shown, folder=environments_folder(folder) / name, python=version)


def make_environment(
    package: str | PackageSpec,
    *,
    consent: Consent | Callable[[InstallPlan], Consent] = None,
    folder: str | Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Environment:
    """
    Return the environment of a package; made now, when there is none and somebody agrees.

    Parameters
    ----------
    package : str or PackageSpec
        As a request names it.
    consent : bool, InstallConsent, callable or None
        See :func:`~dissmodel_lab.environments.consent.refuse_without_consent`. It is asked for an environment that
        is there, too: the consent is to run that package's code.
    folder : str or Path, optional
        Of environments.
    tell : callable
        Gets a line for a person when something takes long.

    Raises
    ------
    InstallError
        Without consent; when pip fails, with its last lines; when the lab cannot be used beside the package.
    KeyboardInterrupt
        When this process is interrupted; nothing is left of what was begun.
    """
    plan = plan_of(package, folder=folder)
    refuse_without_consent(plan, consent)
    found = read_environment(plan.folder)
    if found is not None:
        return found
    tell(
        message(
            "Waiting for or making the environment of {shown}; this takes up to some minutes.",
            shown=plan.package.shown,
        )
    )
    with locked(plan.folder) as lock:
        found = read_environment(plan.folder)  # another process may have made it meanwhile
        if found is not None:
            return found
        discard(plan.folder)  # what a process left that was killed
        try:
            return _make(plan, lock)
        except BaseException:
            discard(plan.folder)
            raise


def _make(plan: InstallPlan, lock: int) -> Environment:
    import venv  # noqa: PLC0415 -- only for requests with a package

    if not sys.executable:
        raise InstallError(
            message("This Python does not know its own program, so that no environment can be made with it.")
        )
    folder = plan.folder
    try:
        venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(folder)
        packages = _packages_in(folder)
        _show_beneath(folder, packages)
    except OSError as error:
        raise InstallError(
            message(
                "The environment {folder!r} cannot be made: {strerror}.",
                folder=str(folder),
                strerror=error.strerror or error,
            )
        ) from error
    before = set(_distributions(packages))
    _run(_pip(folder, plan.package), plan, lock, "pip could not install")
    _run([str(python_in(folder)), "-I", "-c", _IS_USABLE], plan, lock, "The lab cannot be used beside")
    after = _distributions(packages)
    installed = {name: version for name, version in after.items() if name not in before}
    write_card(folder, plan.package.shown, installed, datetime.now(UTC).isoformat())
    found = read_environment(folder)
    if found is None:
        raise InstallError(
            message("The environment {folder!r} was removed while it was made. Try again.", folder=str(folder))
        )
    return found


def _packages_in(folder: Path) -> Path:
    scheme = "venv" if "venv" in sysconfig.get_scheme_names() else sysconfig.get_default_scheme()
    place = {"base": str(folder), "platbase": str(folder), "installed_base": str(folder)}
    return Path(sysconfig.get_path("purelib", scheme, vars=place))


def _show_beneath(folder: Path, packages: Path) -> None:
    """Let the environment find, after its own packages, this lab and the packages of this Python."""
    beside = folder / "lab"
    beside.mkdir()
    (beside / "dissmodel_lab").symlink_to(_own_folder(), target_is_directory=True)
    places = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    places |= {path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")}
    lines = ["import site", str(beside), *(f"import site; site.addsitedir({place!r})" for place in sorted(places))]
    packages.mkdir(parents=True, exist_ok=True)
    (packages / "zz_dissmodel_lab.pth").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _own_folder() -> str:
    return str(Path(dissmodel_lab.__file__).resolve().parent)


def _pip(folder: Path, spec: PackageSpec) -> list[str]:
    python = str(python_in(folder))
    if _has_pip():
        own = [
            sys.executable,
            "-m",
            "pip",
            "--python",
            python,
            "install",
            "--no-input",
            "--disable-pip-version-check",
        ]
        return [*own, "--no-user", "--progress-bar", "off", "--", spec.text]
    uv = shutil.which("uv")
    if uv is not None:
        return [uv, "pip", "install", "--python", python, "--no-progress", "--", spec.text]
    raise InstallError(message("There is neither pip nor uv here. Install one of them: python -m ensurepip."))


def _has_pip() -> bool:
    from importlib.util import find_spec  # noqa: PLC0415 -- only for requests with a package

    return find_spec("pip") is not None


def _run(command: Sequence[str], plan: InstallPlan, lock: int, failure: str) -> None:
    """Run a program, and keep what it says in the environment's log."""
    log = plan.folder / _LOG_NAME
    with log.open("ab") as file:
        program = subprocess.Popen(  # noqa: S603 -- this Python's own pip; the package has been looked at
            command,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            env=_environ(),
            cwd=plan.folder,
            pass_fds=(lock,),  # were this process killed, nobody may begin anew before pip has ended
            start_new_session=True,
        )
        try:
            code = program.wait()
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(program.pid, signal.SIGKILL)
            program.wait()
            raise
    if code != 0:
        said = "\n".join(redact_text(line) for line in _last_lines(log))
        raise InstallError(
            message(
                "{failure} {shown!r} (exit code {code}). It said last:\n{said}\nNothing is left of it. Check the "
                "package's name and version, and the network.",
                failure=failure,
                shown=plan.package.shown,
                code=code,
                said=said,
            )
        )


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _KEPT_LOG))
        text = file.read().decode("utf-8", "replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-_LINES:]


def _environ() -> Mapping[str, str]:
    environ = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
    return {**environ, "PIP_NO_INPUT": "1", "GIT_TERMINAL_PROMPT": "0", "PYTHONSAFEPATH": "1"}


def _indexes() -> list[str]:
    """Return where pip looks for packages, as its configuration and the environment say."""
    settings = _pip_settings()
    extra = [*settings.get("extra-index-url", "").split(), *settings.get("find-links", "").split()]
    if settings.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return settings.get("find-links", "").split()
    return [*(settings.get("index-url", "").split() or [_PYPI]), *extra]


def _pip_settings() -> dict[str, str]:
    command = [sys.executable, "-m", "pip", "config", "list", "--disable-pip-version-check"]
    if not _has_pip():
        return {"index-url": os.environ.get("UV_INDEX_URL") or os.environ.get("UV_DEFAULT_INDEX") or ""}
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=_environ())  # noqa: S603 -- this Python's own pip
    except (OSError, subprocess.SubprocessError) as error:
        raise InstallError(message("pip cannot be asked where it installs from: {error}.", error=error)) from error
    said: dict[str, dict[str, str]] = {}
    for line in done.stdout.splitlines():
        name, _, value = line.partition("=")
        section, _, option = name.rpartition(".")
        said.setdefault(section, {})[option] = value.strip().strip("'\"").replace("\\n", " ")
    return said.get("global", {}) | said.get("install", {}) | said.get(":env:", {})


def _distributions(packages: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in metadata.distributions(path=[str(packages)]):
        facts: Any = one.metadata
        name = facts["Name"]
        if name:
            found[str(name)] = str(one.version)
    return found
