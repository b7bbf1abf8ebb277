"""What would be installed, from where, to where; and whether a person has agreed to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dissmodel_lab.environments.packages import PackageSpec, package_spec
from dissmodel_lab.errors import InstallError
from dissmodel_lab.language import message

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class InstallPlan:
    """What installing a package means, in words that a person can agree to."""

    package: PackageSpec
    indexes: tuple[str, ...]
    """Where pip looks for it and for what it needs, without passwords; nothing but its own address when empty."""
    folder: Path
    """The environment that it goes into."""
    python: str
    """Version of Python."""

    def __str__(self) -> str:
        """Return the question that is asked before."""
        what = f"The package {self.package.shown!r}"
        where = ", ".join(self.indexes) or "no index"
        source = (
            message(" from its address, and what it needs from {where},", where=where)
            if self.package.address
            else message(" from {where}", where=where)
        )
        return message(
            "{what} is to be installed{source} into an environment of its own, {folder!r}. Installing a "
            "package, and running its model, runs its author's code with your rights. The packages of this "
            "notebook stay as they are.",
            what=what,
            source=source,
            folder=str(self.folder),
        )


@dataclass(frozen=True, kw_only=True)
class InstallConsent:
    """
    A person's agreement to the installation of one package.

    Examples
    --------
    >>> InstallConsent(package="disslucc>=0.5").package
    'disslucc>=0.5'
    """

    package: str
    """As the request names it, its address included."""


Consent = bool | InstallConsent | None
"""``True`` is an agreement to a package of an index; an address has to be named."""


def refuse_without_consent(plan: InstallPlan, consent: Consent | Callable[[InstallPlan], Consent]) -> None:
    """
    Return when somebody has agreed to a plan.

    Parameters
    ----------
    plan : InstallPlan
        What is to be installed.
    consent : bool, InstallConsent, callable or None
        Who agreed: ``True``, an :class:`InstallConsent` for this very package, or a function that is shown the plan
        and returns one of them.

    Raises
    ------
    InstallError
        When nobody has; the message is the plan, and how to agree.

    Examples
    --------
    >>> from pathlib import Path
    >>> plan = InstallPlan(
    ...     package=package_spec("disslucc"),
    ...     indexes=("https://pypi.org/simple",),
    ...     folder=Path("cache/ab12"),
    ...     python="3.12",
    ... )
    >>> refuse_without_consent(plan, None)
    Traceback (most recent call last):
    dissmodel_lab.errors.InstallError: The package 'disslucc' is to be installed from https://pypi.org/simple ...
    >>> refuse_without_consent(plan, InstallConsent(package="disslucc"))
    """
    is_shown = callable(consent)
    answer = consent(plan) if callable(consent) else consent
    if answer is None and not is_shown:
        raise InstallError(
            message("{plan} Nothing was installed. {how_to_agree}", plan=plan, how_to_agree=_how_to_agree(plan))
        )
    if isinstance(answer, InstallConsent):
        if package_spec(answer.package) != plan.package:
            raise InstallError(
                message(
                    "The consent is for {shown!r}, but the request names {plan_shown!r}. Nothing was installed. "
                    "{how_to_agree}",
                    shown=package_spec(answer.package).shown,
                    plan_shown=plan.package.shown,
                    how_to_agree=_how_to_agree(plan),
                )
            )
        return
    if answer is not True:
        raise InstallError(
            message(
                "The package {shown!r} was refused. Nothing was installed, nothing runs.", shown=plan.package.shown
            )
        )
    if plan.package.address and not is_shown:
        raise InstallError(
            message(
                "{plan} A package from an address has to be named. {how_to_agree}",
                plan=plan,
                how_to_agree=_how_to_agree(plan),
            )
        )


def _how_to_agree(plan: InstallPlan) -> str:
    if plan.package.address:
        return message("To agree: consent=InstallConsent(package={shown!r}).", shown=plan.package.shown)
    return message("To agree: consent=True, or consent=InstallConsent(package={shown!r}).", shown=plan.package.shown)
