"""A form from declared parameters: fields, controls and groups, their texts and files, and the whole of them."""

from dissmodel_lab.views.form.form import BACKGROUND, HERE, WORKER, ParameterForm, RunRequest

__all__ = ["BACKGROUND", "HERE", "ParameterForm", "RunRequest", "WORKER"]  # noqa: RUF022 -- in the order of sorted(), as in the other packages
