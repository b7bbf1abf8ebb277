# ruff: noqa: INP001 -- mkdocs loads it by its path
"""Pages that are made of what stands elsewhere: notebooks, the list of rooms, the help of each command.

mkdocs calls these functions by their names (https://www.mkdocs.org/user-guide/configuration/#hooks).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter

import dissmodel_lab
import dissmodel_lab.errors as kinds_of_errors
from dissmodel_lab.commands import Grammar

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
#: Files of the repository that are pages, too, by the name of the page.
BESIDE = {"security.md": "SECURITY.md", "contributing.md": "CONTRIBUTING.md", "changelog.md": "CHANGELOG.md"}
#: Where the source stands that a page may lead to.
SOURCE = "https://github.com/LambdaGeo/dissmodel_lab/blob/HEAD/"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the notebooks with their outputs, and the texts that stand beside the package."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for name, content in notebook(path).items():
            files.append(File.generated(config, f"notebooks/{name}", content=content))
    picture = ROOT / "notebooks" / "quickstart.png"
    files.append(File.generated(config, "notebooks/quickstart.png", abs_src_path=str(picture)))
    for name, beside in BESIDE.items():
        files.append(File.generated(config, name, content=_as_page((ROOT / beside).read_text(encoding="utf-8"))))
    return files


def notebook(path: Path) -> dict[str, str | bytes]:
    """Return a notebook with its kept outputs as a page, and the pictures of it, by their names."""
    body, resources = MarkdownExporter().from_filename(str(path), {"output_files_dir": path.stem})  # type: ignore[no-untyped-call]  # nbconvert has no types
    page = re.sub(r"(\]\(\w+)\.ipynb\)", r"\1.md)", body)
    return {f"{path.stem}.md": page, **resources["outputs"]}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put what the package says of itself in its places."""
    del page, config, files
    for place, made in {"rooms": rooms, "commands": commands, "errors": errors, "flow": flow}.items():
        if (marker := f"<!-- {place} -->") in markdown:
            markdown = markdown.replace(marker, made())
    return markdown


def rooms() -> str:
    """Return the list of rooms as a table."""
    rows = re.findall(r"^(``.+?``)  +(\S.*)$", dissmodel_lab.__doc__ or "", re.MULTILINE)
    lines = [f"| {names.replace('``', '`')} | {_plain(what)} |" for names, what in rows]
    return "\n".join(("| room | what happens in it |", "|---|---|", *lines))


def commands() -> str:
    """Return the help of each command, as a terminal shows it."""
    grammar = Grammar("dissmodel-lab")
    parts = [f"## {name}\n\n```text\n{grammar.parse(['help', name]).text.rstrip()}\n```" for name in grammar.commands]
    return "\n\n".join(parts)


def errors() -> str:
    """Return the tree of errors."""
    tree = re.search(r"^    LabError\n(?:    .*\n)+", kinds_of_errors.__doc__ or "", re.MULTILINE)
    if tree is None:
        raise ValueError("dissmodel_lab.errors says no tree of errors any more.")
    return f"```text\n{tree[0].rstrip()}\n```"


def flow() -> str:
    """Return README's section on the flow, which is where it is kept."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    return text.partition("## The flow\n")[2].partition("\n## ")[0].strip()


def _plain(text: str) -> str:
    return re.sub(r":\w+:`~?([^`]+)`", r"`\1`", text).replace("``", "`")


def _as_page(text: str) -> str:
    """Turn links into the repository to where it is read, but for pages that are here."""
    here = {path: name for name, path in BESIDE.items()}

    def link(found: re.Match[str]) -> str:
        target = found[2]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        if target in here or target.startswith("notebooks/"):
            return f"[{found[1]}]({here.get(target, target).replace('.ipynb', '.md')})"
        return f"[{found[1]}]({SOURCE}{target})"

    return re.sub(r"\[([^\]]+)\]\(([^)\s]+)\)", link, text)
