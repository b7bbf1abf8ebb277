"""The kinds of errors, and the one sentence that suggests what was meant."""

from __future__ import annotations

import pytest

from dissmodel_lab import errors

KINDS = {
    errors.ParameterError: ValueError,
    errors.ExecutorNotFoundError: LookupError,
    errors.ExecutorError: Exception,
    errors.PreflightError: ValueError,
    errors.SourceError: ValueError,
    errors.OutputError: OSError,
    errors.RunNotFoundError: LookupError,
    errors.QueryError: ValueError,
    errors.ComparisonError: ValueError,
    errors.ExportError: ValueError,
    errors.EngineError: RuntimeError,
    errors.CrashError: RuntimeError,
    errors.RunTakenError: RuntimeError,
    errors.SweepError: ValueError,
    errors.InstallError: RuntimeError,
    errors.PlatformError: RuntimeError,
    errors.CommandError: ValueError,
}


@pytest.mark.parametrize(("kind", "builtin"), KINDS.items())
def test_each_kind_is_caught_by_the_builtin_that_it_means(kind, builtin):
    with pytest.raises(builtin, match=r"^a sentence\.$"):
        raise kind("a sentence.")
    assert issubclass(kind, errors.LabError)


def test_the_tree_of_the_docstring_is_the_tree():
    declared = {
        kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.LabError)
    }
    assert declared == {errors.LabError, *KINDS}
    for kind in KINDS:
        assert f"── {kind.__name__} " in errors.__doc__


def test_a_message_is_all_that_an_output_error_shows():
    # OSError would put "[Errno ...]" in front if it were given two arguments.
    assert str(errors.OutputError("The disk is full.")) == "The disk is full."


@pytest.mark.parametrize(
    ("word", "known", "sentence"),
    [
        ("yeras", ["years", "rate"], "Did you mean 'years'? Known: years, rate."),
        ("zzz", ["years", "rate"], "Known: years, rate."),
        ("", ["years"], "Known: years."),
        ("years", {"years": 1}, "Did you mean 'years'? Known: years."),
        ("x", [], "Known: none."),
        ("--outptu", iter(["--output", "--input"]), "Did you mean '--output'? Known: --output, --input."),
    ],
)
def test_did_you_mean(word, known, sentence):
    assert errors.did_you_mean(word, known) == sentence
