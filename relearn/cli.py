"""The `relearn` command: one subcommand per task, each in the package that does the work.

A subcommand's module is imported when it is called, so that `relearn repair` never waits for what `compare` needs.
"""

from __future__ import annotations

from importlib import import_module

import click

from relearn.commands import SETTINGS

# name: (module, what the list of subcommands says). The module's `command` is the subcommand.
SUBCOMMANDS = {
    "init": ("stages.init", "Create a project of your own, ready for `dvc repro`."),
    "plan": ("stages.plan.command", "Estimate what an experiment could show, and what it costs."),
    "repair": ("relearn.repair.command", "Turn broken model replies into clean JSON rows."),
    "score": ("relearn.evaluation.command", "Score a file of predictions."),
    "compare": ("relearn.compare.command", "Measure what a fine-tune forgot, for models you already have."),
    "scale": ("relearn.compare.scale_command", "Write a model with part of a fine-tune's change, without training."),
}


class Subcommands(click.Group):
    """A group that imports a subcommand only when it is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in SUBCOMMANDS:
            return None
        found: click.Command = import_module(SUBCOMMANDS[cmd_name][0]).command
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, said) for name, (_, said) in SUBCOMMANDS.items()])


@click.command(cls=Subcommands, context_settings=SETTINGS)
@click.version_option(package_name="relearn-llm")
def main() -> None:
    """Measure what a fine-tune makes a language model forget, and what brings it back.

    The pipeline runs with `dvc repro`; the commands below work without it. `relearn COMMAND --help` describes each.
    """


if __name__ == "__main__":
    main()
