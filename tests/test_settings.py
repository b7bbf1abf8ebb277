"""Author and licence from a small file: found where it lies, and every mistake in it named."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissmodel_lab.errors import LabError
from dissmodel_lab.settings import SETTINGS_NAME, Author, Settings, check_digit, read_settings, settings_template

CARBERRY = "0000-0002-1825-0097"


@pytest.fixture(autouse=True)
def _no_settings_of_this_machine(tmp_path_factory, monkeypatch):
    monkeypatch.setenv(
        "APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("own"))
    )


def written(folder: Path, text: str) -> Path:
    path = folder / SETTINGS_NAME
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_says_nothing(tmp_path):
    assert read_settings(tmp_path) == Settings()
    assert Settings().license_url == ""


def test_everything_that_can_be_said(tmp_path):
    text = (
        f'[author]\nname = " Ana Souza "\norcid = "https://orcid.org/{CARBERRY}"\naffiliation = "INPE"\n'
        'email = "ana@inpe.br"\n[export]\nlicense = "cc-by-4.0"\n'
    )
    path = written(tmp_path, text)
    found = read_settings(tmp_path)
    ana = Author(name="Ana Souza", orcid=CARBERRY, affiliation="INPE", email="ana@inpe.br")
    assert found == Settings(author=ana, license="CC-BY-4.0", path=path)
    assert found.license_url == "https://spdx.org/licenses/CC-BY-4.0"


def test_a_licence_may_be_a_web_address(tmp_path):
    written(tmp_path, '[export]\nlicense = "https://example.org/licence"')
    found = read_settings(tmp_path)
    assert (found.author, found.license_url) == (None, "https://example.org/licence")


def test_the_nearest_file_holds_alone(tmp_path, monkeypatch):
    own = tmp_path / "own"
    (own / "dissmodel-lab").mkdir(parents=True)
    (own / "dissmodel-lab" / "settings.toml").write_text('[author]\nname = "Of the user"\n[export]\nlicense = "MIT"')
    monkeypatch.setenv("APPDATA" if sys.platform == "win32" else "XDG_CONFIG_HOME", str(own))
    deep = tmp_path / "project" / "notebooks" / "experiments"
    deep.mkdir(parents=True)
    assert read_settings(deep).author.name == "Of the user"
    written(tmp_path / "project", '[author]\nname = "Of the project"')
    found = read_settings(deep)
    assert (found.author.name, found.license) == ("Of the project", "")
    written(deep, '[author]\nname = "Of the store"')
    assert read_settings(deep).author.name == "Of the store"


def test_the_working_folder_is_where_it_begins(tmp_path, monkeypatch):
    written(tmp_path, '[author]\nname = "Ana"')
    monkeypatch.chdir(tmp_path)
    assert read_settings().author.name == "Ana"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[author", "is no TOML: "),
        ("[autor]\nname = 'A'", "has a table or name 'autor' that means nothing. Did you mean 'author'?"),
        ("author = 'Ana'", "author must be a table, [author], got 'Ana'."),
        ("[author]\nnome = 'A'", "[author] has no 'nome'. Did you mean 'name'?"),
        ("[author]\nname = 3", "author.name must be a text in quotation marks, got 3."),
        ('[author]\nname = "a\\nb"', "author.name must be one line of at most 200 characters, got 'a\\nb'."),
        ("[author]\norcid = '0000-0002-1825-0097'", '[author] has no name. Add a line: name = "Your Name".'),
        (
            "[author]\nname = 'A'\norcid = '1234'",
            (
                "author.orcid is no ORCID: '1234'. It looks like 0000-0002-1825-0097, or like "
                "https://orcid.org/0000-0002-1825-0097."
            ),
        ),
        (
            "[author]\nname = 'A'\norcid = '0000-0002-1825-0079'",
            (
                "author.orcid 0000-0002-1825-0079 has a mistyped digit: its checksum is wrong. "
                "Copy it from https://orcid.org."
            ),
        ),
        ("[author]\nname = 'A'\nemail = 'a at b'", "author.email is no address: 'a at b'. It looks like name@"),
        ("[export]\nlicense = 'my licence!'", "export.license is neither an identifier of https://spdx.org/licenses"),
        ("[export]\nlicense = 'CC-BY-9'", "export.license 'CC-BY-9' is no identifier of https://spdx.org/licenses."),
        ("[export]\nlicense = 'LicenseRef-mine'", "export.license 'LicenseRef-mine' is no identifier of"),
        ("[export]\nlicense = 'ftp://a/b'", "export.license is no web address: 'ftp://a/b'. Begin with https://."),
        ("[export]\nlicense = 'https://[a'", "export.license is no web address: 'https://[a'. Begin with https://."),
        ("[export]\nlicense = 'https://me:pw@a/b'", "export.license is no web address: "),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(LabError) as caught:
        read_settings(tmp_path)
    assert str(caught.value).startswith(f"The settings file {str(path)!r}")
    assert message in str(caught.value)


def test_a_file_that_is_no_settings_file_is_not_read_on_and_on(tmp_path):
    path = written(tmp_path, "#" * 70_000)
    with pytest.raises(LabError) as caught:
        read_settings(tmp_path)
    assert str(caught.value) == (
        f"The settings file {str(path)!r} is larger than 64 KiB. Keep author and licence in it only."
    )


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / SETTINGS_NAME).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(LabError, match="is no TOML"):
        read_settings(tmp_path)


def test_the_template_is_a_settings_file(tmp_path):
    written(tmp_path, settings_template())
    assert read_settings(tmp_path).author == Author(name="Your Name")
    everything = "\n".join(
        line[2:] if line.startswith("# ") and " = " in line else line for line in settings_template().splitlines()
    )
    written(tmp_path, everything)
    found = read_settings(tmp_path)
    assert (found.author.orcid, found.author.email, found.license) == (CARBERRY, "you@example.org", "CC-BY-4.0")


@given(st.text("0123456789", min_size=15, max_size=15), st.integers(0, 14), st.integers(1, 9))
def test_a_checksum_notices_any_one_wrong_digit(digits, at, by):
    wrong = f"{digits[:at]}{(int(digits[at]) + by) % 10}{digits[at + 1 :]}"
    assert check_digit(wrong) != check_digit(digits)


def test_checksums_of_known_people():
    assert [check_digit(orcid[:-1]) for orcid in (CARBERRY, "0000-0001-5109-3700", "0000-0002-1694-233X")] == [
        "7",
        "0",
        "X",
    ]
