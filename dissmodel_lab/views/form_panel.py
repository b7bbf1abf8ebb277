"""A form in a cell, and under it the run that it starts."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from IPython.display import display

from dissmodel_lab.inference import inference_problem, misplaced_parameters, unknown_parameters
from dissmodel_lab.language import say
from dissmodel_lab.launch import run
from dissmodel_lab.parameters import ModelSpec, declared_parameters, parameter_schema
from dissmodel_lab.resolve import ResolvedModel, import_path, known_models, resolve_model
from dissmodel_lab.texts import summary_of
from dissmodel_lab.views.form import HERE, WORKER, ParameterForm, RunRequest
from dissmodel_lab.views.form_results import FormResults
from dissmodel_lab.views.run_panel import run_handle_in_cell, run_in_cell

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Future

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.provenance import Caller
    from dissmodel_lab.views.run_panel import Listeners

#: Parameters of which something is said, at most.
_ADVICE = 10


def show_form(
    model: str,
    *,
    source: str,
    output: str,
    parameters: Mapping[str, Any],
    toml: ModelSpec | str | None,
    namespace: Mapping[str, Any],
    caller: Caller,
) -> ParameterForm:
    """
    Show a model's form; its Run button runs the model under it.

    Parameters
    ----------
    model : str
        As :func:`dissmodel_lab.run` takes it.
    source, output : str
        What the form begins with.
    parameters : mapping
        Values that differ from the defaults.
    toml : ModelSpec or str, optional
        A TOML file, or one that is read already.
    namespace : mapping
        The notebook's variables.
    caller : Caller
        The cell.

    Raises
    ------
    LabError
        When the model or the TOML cannot be used.
    """
    resolved = resolve_model(model, namespace=namespace)
    spec = toml if isinstance(toml, ModelSpec) else ModelSpec.from_path(toml) if toml else resolved.spec
    values = {**spec.parameters, **parameters}
    executor_class = resolved.executor_class
    is_declared = declared_parameters(executor_class) is not None
    results = FormResults()

    def on_run(request: RunRequest) -> Future[None] | str | None:
        arguments: dict[str, Any] = {
            # The path of a TOML would bring back what was emptied.
            "model": executor_class if resolved.spec.text else model,
            "source": request.source or None,
            "parameters": _changed(spec, request.parameters),
            "output": request.output or None,
            "toml": _kept(spec, request.parameters) if spec.text else None,
            "namespace": namespace,
            "caller": caller,
        }
        return _start(arguments, request.engine, results)

    form = ParameterForm(
        _name_in_a_cell(resolved, model, namespace),
        parameter_schema(executor_class, values),
        values=values,
        source=source,
        output=output,
        description=summary_of(executor_class),
        on_run=on_run,
        adapt=None if is_declared else partial(parameter_schema, executor_class),
        advise=None if is_declared else partial(_advice, executor_class),
        offers_engines=True,
    )
    from dissmodel_lab.views.sweep_form import add_sweep  # noqa: PLC0415 -- knows the sweeps, which a run does without

    sweep = add_sweep(
        form, executor_class if resolved.spec.text else model, namespace=namespace, toml=spec if spec.text else None
    )
    form.on_change(sweep.refresh)
    display(form)
    results.open()
    sweep.open()
    return form


def _start(arguments: dict[str, Any], engine: str, results: FormResults) -> Future[None] | str | None:
    """Start a run where a person wants it; what is returned tells the form when it is over."""
    if engine == HERE:

        def call(listeners: Listeners) -> ExperimentRecord:
            record: ExperimentRecord = run(**arguments, observers=listeners.observers, watchers=listeners.watchers)
            return record

        return results.run(partial(run_in_cell, call))
    handle = run(**arguments, engine="process", background=True)
    if engine == WORKER:
        return results.run(partial(run_handle_in_cell, handle))
    from dissmodel_lab.views.background import show_background  # noqa: PLC0415 -- only for those who choose it

    results.begin(lambda page, panel: show_background(handle, output=page, map_output=panel))
    return say(
        "Run {run} goes on in the background; the form is free for the next one.", run=handle.experiment_id[:8]
    )


def _changed(spec: ModelSpec, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a person gave: the rest comes from the TOML, and the record says so."""
    same = {name for name, value in spec.parameters.items() if name in values and repr(values[name]) == repr(value)}
    return {name: value for name, value in values.items() if name not in same}


def _kept(spec: ModelSpec, values: Mapping[str, Any]) -> ModelSpec:
    """Return a TOML without the parameters that a person has emptied."""
    gone = spec.parameters.keys() - values.keys()
    if not gone:
        return spec
    document = {key: value for key, value in spec.document.items() if key not in gone or key == "model"}
    if isinstance(document.get("model"), dict):
        model = {key: value for key, value in document["model"].items() if key not in gone}
        if isinstance(model.get("parameters"), dict):
            model["parameters"] = {key: value for key, value in model["parameters"].items() if key not in gone}
        document["model"] = model
    parameters = {name: value for name, value in spec.parameters.items() if name not in gone}
    return replace(spec, parameters=parameters, document=document)


def _advice(executor_class: type[Any], values: Mapping[str, Any]) -> dict[str, str]:
    problem = inference_problem(executor_class)
    if problem:
        return {"parameters": problem}
    unknown = unknown_parameters(executor_class, values)
    said = {
        name: say("The model never reads it. {advice}", advice=advice)
        for name, advice in itertools.islice(unknown.items(), _ADVICE)
    }
    if len(unknown) > _ADVICE:
        said[say("and others")] = say("The model never reads {n:,} more.", n=len(unknown) - _ADVICE)
    misplaced = misplaced_parameters(executor_class, values)
    return said | {name: say("It {problem}", problem=problem) for name, problem in misplaced.items()}


def _name_in_a_cell(resolved: ResolvedModel, model: str, namespace: Mapping[str, Any]) -> str:
    """Return a name of the model that works in a cell and as ``class`` of a TOML, whatever named it here."""
    if known_models(namespace).get(resolved.name) is resolved.executor_class:
        return resolved.name
    return model if ":" in model else import_path(resolved.executor_class)
