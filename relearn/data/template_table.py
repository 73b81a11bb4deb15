"""A table whose instructions, responses and tests are put together from the columns of another."""

from __future__ import annotations

from collections.abc import Container, Iterator, Sequence

from relearn.data.table import Table, TableRow
from relearn.params.prepare import InstructionColumns, TemplateColumns
from relearn.placeholders import fill, list_names, show_value

COLUMNS = InstructionColumns(
    form="instructions", instruction="instruction", input=None, response="response", tests="tests", group="group"
)


class TemplateTable:
    """The rows of `table`, each with the columns that `columns` here names; an absent value is an empty text."""

    def __init__(self, table: Table, templates: TemplateColumns) -> None:
        self.table, self.name, self.strict, self.origin = table, table.name, table.strict, table.origin
        self.templates = {
            "instruction": templates.instruction,
            "response": templates.response,
            "tests": templates.tests or "",
        }
        self.group = templates.group
        self.columns = COLUMNS.model_copy(
            update={"tests": templates.tests and "tests", "group": templates.group and "group"}
        )

    def where(self, number: int) -> str:
        """As the table has it."""
        return self.table.where(number)

    def rows(self, columns: Sequence[str], optional: Container[str] = ()) -> Iterator[tuple[int, TableRow]]:
        """Yields (number, row); InputError as the table's own, for a column that a template names and it lacks.

        The table's `optional` columns are there too, but for those that a template has used.
        """
        named = [name for template in self.templates.values() for name in list_names(template)]
        wanted = list(dict.fromkeys([*named, *([self.group] if self.group else [])]))
        for number, cells in self.table.rows(wanted, optional):
            row: dict[str, object] = {
                column: fill(template, lambda name, cells=cells: show_value(cells[name]))  # type: ignore[misc]
                for column, template in self.templates.items()
            }
            row |= {name: cell for name, cell in cells.items() if name in optional and name not in wanted}
            yield number, row | ({"group": cells[self.group]} if self.group else {})
