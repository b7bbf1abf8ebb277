"""The page that people see when they open a crate: ``ro-crate-preview.html``, complete in one file."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

from dissmodel_lab.plain import cut, flat_values, plain_value, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dissmodel_lab.executor.schemas import ExperimentRecord
    from dissmodel_lab.exports.crate_files import CrateFile
    from dissmodel_lab.settings import Settings

_LONGEST = 2_000
"""Longest text of one cell [characters]; the record holds all."""
_MOST_ROWS = 200
_LAST_LINES = 50
_WHOLE_PAGE = re.compile(r"(?i)\s*(<!doctype html|<html[\s>])")
# Nothing on the page may fetch or run anything: models and files give it its texts.
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 64rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; line-height: 1.25; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin: 2rem 0 .5rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem; border-bottom: 1px solid #8888; }
th { font-weight: 600; }
tbody th { width: 20rem; font-weight: 400; }
td, tbody th { overflow-wrap: anywhere; }
code, pre { font-family: ui-monospace, monospace; font-size: .875em; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; border: 1px solid #8888; padding: .6rem; }
img { max-width: 100%; }
@media print { body { margin: 0; max-width: none; } }
"""


def crate_page(
    record: ExperimentRecord, files: Sequence[CrateFile], settings: Settings, *, title: str, report_html: str = ""
) -> str:
    """
    Return the page of a crate.

    Parameters
    ----------
    record : ExperimentRecord
        Without secrets.
    files : sequence of CrateFile
        What is in the crate, and what is not.
    settings : Settings
        Author and licence.
    title : str
        Heading of the page.
    report_html : str
        The run as its static report shows it: safe HTML. A whole page is returned as it is; a part stands
        between the heading and the list of files. Without one, facts, parameters and metrics stand there.

    Examples
    --------
    >>> from dissmodel_lab.executor import ExperimentRecord
    >>> from dissmodel_lab.settings import Settings
    >>> page = crate_page(ExperimentRecord(model_name="<b>"), [], Settings(), title="Run of <b>")
    >>> "<h1>Run of &lt;b&gt;</h1>" in page, page.startswith("<!DOCTYPE html>")
    (True, True)
    """
    if _WHOLE_PAGE.match(report_html):
        return report_html
    body = report_html or _report(record)
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{_text(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{_text(title)}</h1>\n"
        f"{_credits(settings)}\n{body}\n{_files(files)}\n</main>\n</body>\n</html>\n"
    )


def _text(value: object) -> str:
    return html.escape(printable(cut(str(value), _LONGEST)))


def _credits(settings: Settings) -> str:
    author = settings.author
    lines = []
    if author is not None:
        name = _text(author.name)
        lines.append(f'By <a href="{author.orcid_url}">{name}</a>' if author.orcid else f"By {name}")
        lines[0] += f", {_text(author.affiliation)}" if author.affiliation else ""
    licence = html.escape(settings.license_url)
    lines.append(f'Licence: <a href="{licence}">{_text(settings.license)}</a>' if licence else "No licence was given")
    return f"<p>{'. '.join(lines)}.</p>"


def _report(record: ExperimentRecord) -> str:
    facts = record.provenance
    rows = [
        ("Model", record.model_name),
        ("Executor", facts.executor_class if facts else ""),
        ("Version", (facts.executor_package if facts else "") or record.model_commit),
        ("Status", record.status),
        ("Failed in phase", record.failed_phase or ""),
        ("Error", record.error or ""),
        ("Began (UTC)", record.started_at.strftime("%Y-%m-%d %H:%M:%S") if record.started_at else ""),
        ("Ended (UTC)", record.ended_at.strftime("%Y-%m-%d %H:%M:%S") if record.ended_at else ""),
        ("Run", record.experiment_id),
    ]
    log = "\n".join(record.logs[-_LAST_LINES:])
    return "\n".join(
        [
            _section("Run", _table([row for row in rows if row[1]])),
            _section("Parameters", _table(flat_values(record.parameters).items())),
            _section("Metrics", _table(flat_values(record.metrics).items())),
            _section("Software", _table(facts.versions.items() if facts else ())),
            _section("Cell", f"<pre>{_text(facts.cell_source)}</pre>" if facts and facts.cell_source else ""),
            _section("Log", f"<pre>{_text(log)}</pre>" if log else ""),
        ]
    )


def _section(title: str, content: str) -> str:
    return f"<h2>{title}</h2>\n{content}" if content else ""


def _table(rows: Iterable[tuple[object, object]]) -> str:
    found = list(rows)
    lines = [
        f'<tr><th scope="row">{_text(name)}</th><td>{_text(plain_value(value))}</td></tr>'
        for name, value in found[:_MOST_ROWS]
    ]
    if len(found) > _MOST_ROWS:
        more = f"{len(found) - _MOST_ROWS:,} more stand in record.json"
        lines.append(f'<tr><td colspan="2">{more}</td></tr>')
    return f"<table><tbody>{''.join(lines)}</tbody></table>" if lines else ""


def _files(files: Sequence[CrateFile]) -> str:
    lines = []
    for file in files:
        # The hash tells a reader more than the path of a machine that he has no access to.
        where = f"<code>{_text(file.place)}</code>" if file.place else f"Not in this crate: it {_text(file.absent)}"
        checksum = f"<br><code>{_text(file.sha256)}</code>" if file.sha256 else ""
        name = file.role if file.name == file.role else f"{file.role} {file.name}"
        lines.append(f'<tr><th scope="row">{_text(name)}</th><td>{where}{checksum}</td></tr>')
    lines.append('<tr><th scope="row">record</th><td><code>record.json</code></td></tr>')
    head = '<thead><tr><th scope="col">What</th><th scope="col">Place in the crate and SHA-256</th></tr></thead>'
    return f"<h2>Files</h2>\n<table>{head}<tbody>{''.join(lines)}</tbody></table>"
