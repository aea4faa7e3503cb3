"""docs/migration.md has the corpus's table as it is; what its rows say is held by tests/engine/test_migration.py."""

from __future__ import annotations

from tests.with_torch.migration import table


def test_the_page_has_the_table_of_the_corpus() -> None:
    text = table.PAGE.read_text(encoding="utf-8")
    assert text == table.page(text), "run python -m tests.with_torch.migration.table"


def test_the_table_has_every_file_of_cases() -> None:
    not_cases = {"bad", "corpus", "mutate", "mutations", "run", "sites", "table"}
    assert {path.stem for path in table.HERE.glob("*.py")} - not_cases == set(table.THEMES)


def test_the_corpus_is_large_and_each_refusal_says_why() -> None:
    rows = table.rows()
    assert len(rows) >= 120
    assert all(row.kind and row.title for row in rows)
    assert all(row.note for row in rows if row.outcome in {"refused", "constructed"})
