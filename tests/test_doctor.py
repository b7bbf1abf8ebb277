"""``doctor``: what a machine is like, through the magic and the terminal, and what it finds wrong."""

import json
import sys
from types import ModuleType, SimpleNamespace

import psutil
import pytest
from doors import Desk

import dissmodel_lab as lab
from dissmodel_lab import doctor
from dissmodel_lab.cli import main
from dissmodel_lab.doctor import examine


@pytest.fixture(params=("magic", "cli"))
def said(request):
    """Give a command through one door."""
    return Desk(request)


def test_it_is_one_text_to_paste(said):
    text = said("doctor").text
    assert [line for line in text.splitlines() if line and not line.startswith(" ")] == [
        "versions", "machine", "folders", "front end", "engines", "problems",
    ]  # fmt: skip
    assert f"dissmodel_lab       {lab.__version__}" in text


def test_json_says_the_same(capsys):
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert list(told) == ["versions", "machine", "folders", "front end", "engines", "problems"]
    assert told["versions"]["dissmodel_lab"] == lab.__version__


def test_neither_home_nor_secrets_are_told(monkeypatch, tmp_path):
    home = tmp_path / "ana souza"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("DISSMODEL_LAB_STORE", str(home / "runs"))
    monkeypatch.setenv("DISSMODEL_API_KEY", "k3y-that-nobody-reads")
    text = examine().text()
    assert "ana souza" not in text
    assert f"~{'/'}runs" in text
    assert "k3y-that-nobody-reads" not in text
    assert "a key is set" in text


def test_nothing_is_made(monkeypatch, tmp_path):
    monkeypatch.setenv("DISSMODEL_LAB_STORE", str(tmp_path / "runs"))
    assert "not made yet" in examine().facts["folders"]["runs"]
    assert not (tmp_path / "runs").exists()


def test_runs_are_counted(workspace):
    lab.run("game_of_life")
    assert examine().facts["folders"]["runs kept"] == "1"


def test_a_full_disk_and_little_memory_are_problems(monkeypatch, workspace):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=5 << 20))
    memory = SimpleNamespace(total=2 << 30, available=100 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)
    problems = examine().problems
    assert "Only 5.0 MiB are free where experiments lies. Make room there." in problems
    assert "Only 100 MiB of memory are free. Close other kernels, or take a smaller input." in problems


def test_a_folder_that_cannot_be_written_is_a_problem(monkeypatch, workspace):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    assert examine().facts["folders"]["runs"] == "experiments (read-only)"
    assert examine().problems[0] == (
        "experiments cannot be written. Change its permissions, or choose another folder."
    )


def test_widgets_that_stay_blank_are_a_problem(monkeypatch):
    versions = {"ipywidgets": "8.1.5", "jupyterlab_widgets": "1.1.0"}
    monkeypatch.setattr(doctor, "_version", lambda name: versions.get(name, "1.0"))
    assert examine().problems == (
        (
            "ipywidgets 8.1.5 needs jupyterlab_widgets 3, and 1.1.0 is installed: widgets stay blank. "
            "Write: pip install --upgrade jupyterlab_widgets"
        ),
    )


def test_a_package_that_is_missing_is_a_problem(monkeypatch):
    monkeypatch.setattr(doctor, "_version", lambda name: "" if name == "ipyleaflet" else "3.0")
    report = examine()
    assert report.facts["versions"]["ipyleaflet"] == "missing"
    assert report.problems == ("ipyleaflet is missing. Write: pip install dissmodel_lab",)


def test_the_front_end_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    monkeypatch.setenv("JUPYTERHUB_USER", "ana")
    assert examine().facts["front end"]["runs in"].startswith("Google Colab, ")
    assert "JupyterHub" in examine().facts["front end"]["runs in"]
    assert "ana" not in examine().facts["front end"]["runs in"].split(", ")


def test_in_portuguese_the_headings_stay(monkeypatch):
    monkeypatch.setenv("DISSMODEL_LAB_LANG", "pt")
    assert next(iter(examine().facts)) == "versions"
    assert "DISSMODEL_LAB_LANG=pt" in examine().facts["machine"]["language"]
