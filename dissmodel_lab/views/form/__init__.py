"""A form from declared parameters: fields, controls and groups, their texts and files, and the whole of them."""

from dissmodel_lab.views.form.form import ParameterForm, RunRequest

__all__ = ["ParameterForm", "RunRequest"]
