"""The report as one HTML page that carries its pictures."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from openmm_cgml.validation.metric import Metric, format_reference, format_value
from openmm_cgml.validation.report.plate import Plate
from openmm_cgml.validation.verdict import Validation, align_metrics

_CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, Arial, sans-serif; color: #222;
  background: #f4f4f1; margin: 0; }
main { max-width: 1080px; margin: 2rem auto; padding: 2rem 2.4rem 2.6rem; background: #fff; border: 1px solid #e2e2dd; }
h1 { font-size: 1.6rem; font-weight: 600; margin: 0 0 .2rem; }
h2 { font-size: 1.1rem; font-weight: 600; margin: 2.2rem 0 .7rem; padding-bottom: .3rem;
  border-bottom: 1px solid #e2e2dd; }
p.lead { color: #555; margin: 0; }
.stamp { float: right; font-weight: 600; padding: .25rem .8rem; border: 2px solid; border-radius: 4px;
  text-transform: uppercase; letter-spacing: .05em; font-size: .85rem; }
.pass { color: #1d7a46; } .fail { color: #b3261e; } .incomplete { color: #9a5b00; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .38rem .7rem .38rem 0; border-bottom: 1px solid #ecece8; vertical-align: top; }
thead th { font-weight: 600; color: #555; border-bottom: 1px solid #bbb; }
.scroll { overflow-x: auto; }
td.fail, td.pass { font-weight: 600; } table.figures td + td { white-space: nowrap; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1.2rem;
  align-items: start; }
figure { margin: 0; } figure.wide { grid-column: 1 / -1; } img { width: 100%; height: auto; display: block; }
figcaption { color: #555; font-size: .88rem; margin-top: .2rem; }
ul.notes { padding-left: 1.1rem; color: #555; } footer { margin-top: 2rem; color: #777; font-size: .85rem; }
@media (max-width: 620px) { main { padding: 1.1rem; margin: 0; } .pictures { grid-template-columns: 1fr; } }
@media print { body { background: #fff; } main { border: 0; margin: 0; max-width: none; padding: 0; }
  .pictures { display: block; } figure { break-inside: avoid; max-width: 38rem; } }
"""


def render_page(
    validation: Validation,
    *,
    subtitle: str,
    plates: Sequence[Plate],
    provenance: Mapping[str, Mapping[str, str]],
    footer: str,
) -> str:
    """The whole page.

    Args:
        validation: The metrics.
        subtitle: One line under the title.
        plates: The pictures in order.
        provenance: Column title -> (name -> value) of the reference and the runs.
        footer: Last line.
    """
    notes = [f"{run.name}: {note}" for run in validation.runs for note in run.notes]
    return render_document(
        f"{validation.system}: validation",
        subtitle=subtitle,
        stamp=_stamp(validation),
        table=_metric_table(validation),
        notes=notes,
        plates=plates,
        provenance=provenance,
        footer=footer,
    )


def render_document(
    title: str,
    *,
    subtitle: str,
    stamp: tuple[str, str],
    table: str,
    notes: Sequence[str],
    plates: Sequence[Plate],
    provenance: Mapping[str, Mapping[str, str]],
    footer: str,
) -> str:
    """A page of a table of metrics, notes, pictures and provenance.

    Args:
        title: Title.
        subtitle: One line under the title.
        stamp: Word of the stamp, and its kind: "pass", "fail" or "incomplete".
        table: The table of metrics as HTML.
        notes: What a reader should know.
        plates: The pictures in order.
        provenance: Column title -> (name -> value).
        footer: Last line.
    """
    word, kind = stamp
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{_CSS}</style></head><body><main>",
        f'<span class="stamp {kind}">{word}</span>',
        f"<h1>{escape(title)}</h1><p class='lead'>{escape(subtitle)}</p>",
        "<h2>Metrics</h2>",
        table,
        _list_notes(notes),
        "<h2>Pictures</h2><div class='pictures'>",
        *map(_render_plate, plates),
        "</div><h2>Provenance</h2>",
        _provenance_table(provenance),
        f"<footer>{escape(footer)}</footer></main></body></html>",
    ]
    return "\n".join(parts) + "\n"


def _stamp(validation: Validation) -> tuple[str, str]:
    if validation.n_complete < len(validation.runs):
        return "incomplete", "incomplete"
    return ("passed", "pass") if validation.passed else ("failed", "fail")


def _metric_table(validation: Validation) -> str:
    names = "".join(f"<th>{escape(run.name)}{_status_note(run.status)}</th>" for run in validation.runs)
    rows = [_metric_row(row) for row in align_metrics(validation.runs)]
    span = len(validation.runs)
    rows += [
        f"<tr><td>{escape(metric.title)}</td><td colspan='{span}'>{_value(metric)}</td><td></td>"
        f"<td>{escape(metric.limit)}</td>{_verdict(metric.verdict)}</tr>"
        for metric in validation.across
    ]
    head = f"<thead><tr><th></th>{names}<th>reference</th><th>limit</th><th></th></tr></thead>"
    return f"<div class='scroll'><table class='figures'>{head}<tbody>{''.join(rows)}</tbody></table></div>"


def _status_note(status: str) -> str:
    return "" if status == "complete" else f" <span class='incomplete'>({escape(status)})</span>"


def _metric_row(row: Sequence[Metric | None]) -> str:
    known = [metric for metric in row if metric is not None]
    verdicts = [metric.verdict for metric in known]
    cells = "".join("<td>–</td>" if metric is None else f"<td>{_value(metric)}</td>" for metric in row)
    return (
        f"<tr><td>{escape(known[0].title)}</td>{cells}<td>{escape(format_reference(known[0]))}</td>"
        f"<td>{escape(known[0].limit)}</td>{_verdict('fail' if 'fail' in verdicts else verdicts[0])}</tr>"
    )


def _value(metric: Metric) -> str:
    text = escape(format_value(metric.value, metric.error))
    return f"<span class='fail'>{text}</span>" if metric.verdict == "fail" else text


def _verdict(verdict: str) -> str:
    mark = {"pass": "✓ pass", "fail": "✗ fail"}.get(verdict, "")
    return f"<td class='{verdict}'>{mark}</td>"


def _list_notes(notes: Sequence[str]) -> str:
    return "<ul class='notes'>" + "".join(f"<li>{escape(note)}</li>" for note in notes) + "</ul>" if notes else ""


def _render_plate(plate: Plate) -> str:
    data = base64.b64encode(plate.png).decode()
    kind = " class='wide'" if plate.wide else ""
    return (
        f"<figure{kind}><img alt='{escape(plate.caption, quote=True)}' src='data:image/png;base64,{data}'>"
        f"<figcaption>{escape(plate.caption)}</figcaption></figure>"
    )


def _provenance_table(columns: Mapping[str, Mapping[str, str]]) -> str:
    names = dict.fromkeys(name for column in columns.values() for name in column)
    head = "".join(f"<th>{escape(title)}</th>" for title in columns)
    rows = ""
    for name in names:
        cells = "".join(f"<td>{escape(column.get(name, ''))}</td>" for column in columns.values())
        rows += f"<tr><td>{escape(name)}</td>{cells}</tr>"
    return f"<div class='scroll'><table><thead><tr><th></th>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
