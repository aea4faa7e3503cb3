"""Writes the table of the corpus into docs/migration.md: `python -m tests.with_torch.migration.table [--check]`.

Reads the cases' source, so it needs no torch. That each case comes out as its row says, the engine test holds.
"""

from __future__ import annotations

import ast
import collections
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
PAGE = Path(__file__).parents[3] / "docs" / "migration.md"
THEMES = (  # every file that holds cases, each after those whose classes it derives from
    "case",
    "values",
    "attributes",
    "identity",
    "state",
    "tensors",
    "hooks",
    "layers",
    "code",
    "changed_code",
    "numpy_values",
    "files",
    "shapes",
    "convolutions",
    "models_of_graphs",
    "graphs",
    "graphs_shared",
    "surprises",
)
BEGIN, END = "<!-- the corpus: made by tests/with_torch/migration/table.py -->", "<!-- end of the corpus -->"


class Row(NamedTuple):
    name: str
    kind: str
    title: str
    outcome: str
    note: str


def _texts(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for line in node.body:
        targets = (
            line.targets if isinstance(line, ast.Assign) else [line.target] if isinstance(line, ast.AnnAssign) else []
        )
        value = getattr(line, "value", None)
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            found.update({target.id: value.value for target in targets if isinstance(target, ast.Name)})
    return found


def rows() -> list[Row]:
    """All cases, in the order of the files."""
    known: dict[str, dict[str, str]] = {}
    found = []
    for theme in THEMES:
        path = HERE / f"{theme}.py"
        for node in ast.parse(path.read_text(encoding="utf-8")).body if path.exists() else ():
            bases = [base.id for base in getattr(node, "bases", ()) if isinstance(base, ast.Name) and base.id in known]
            if not isinstance(node, ast.ClassDef) or not (bases or node.name == "Case"):
                continue
            texts = {name: text for base in bases for name, text in known[base].items()} | _texts(node)
            known[node.name] = texts
            if not any(keyword.arg == "abstract" for keyword in node.keywords) and node.name != "Case":
                title = (ast.get_docstring(node) or "").splitlines()[0].rstrip(".")
                found.append(Row(node.name, texts["kind"], title, texts["outcome"], texts["note"]))
    return found


def markdown(found: list[Row]) -> str:
    """The table, one section per kind, with a summary before."""
    kinds = list(dict.fromkeys(row.kind for row in found))
    outcomes = ("as it is", "carried", "constructed", "refused")
    lines = [
        f"{len(found)} files. Lost: 0.",
        "",
        f"| kind | {' | '.join(outcomes)} |",
        "|---|" + "---|" * len(outcomes),
    ]
    for kind in kinds:
        counts = collections.Counter(row.outcome for row in found if row.kind == kind)
        lines.append(f"| {kind} | {' | '.join(str(counts[outcome] or '') for outcome in outcomes)} |")
    for kind in kinds:
        lines += ["", f"### {kind[0].upper()}{kind[1:]}", "", "| the file holds | outcome | why |", "|---|---|---|"]
        for row in (row for row in found if row.kind == kind):
            title = row.title.replace("|", "\\|").replace("__", "\\_\\_")
            lines.append(f"| {title} | {row.outcome} | {row.note} |")
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the table of now."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{markdown(rows())}\n\n{END}{after}"


def main() -> int:
    text = PAGE.read_text(encoding="utf-8")
    if "--check" in sys.argv:
        return int(text != page(text))
    PAGE.write_text(page(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
