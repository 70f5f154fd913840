"""The app: which verbs there are, in which order, with an example each; and how errors end it."""

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from rct.cli.allocation_verbs import commit, randomize, verify
from rct.cli.demo import demo
from rct.cli.design_verbs import check, designs, new, schema
from rct.cli.ledger_verb import enrol
from rct.cli.panel_verbs import panel, simulate
from rct.cli.power_verb import power
from rct.cli.printing import error_line
from rct.cli.result_verbs import estimate, report
from rct.cli.several_files import SeveralFiles
from rct.errors import RctError

BAD_INPUT = 2
INTERRUPTED = 130

TRY = "Try it"
PLAN = "Before the trial"
RUN = "The randomization"
ANSWER = "The answer"

VERBS = (
    (demo, TRY, "rct demo"),
    (designs, PLAN, "rct designs"),
    (new, PLAN, "rct new my_trial.toml --from louisville_icat"),
    (schema, PLAN, "rct schema > trial.schema.json"),
    (check, PLAN, "rct check my_trial.toml --roster roster.csv --incidents 2017.csv"),
    (power, PLAN, "rct power louisville_icat --sims 1000 --workers 2 --out power"),
    (
        commit,
        RUN,
        'rct commit my_trial.toml --roster roster.csv --source "state lottery, evening draw" '
        "--round 2026-12-24 --out commitment.json",
    ),
    (
        randomize,
        RUN,
        'rct randomize my_trial.toml --roster roster.csv --seed "Council, 3 May" --out allocation',
    ),
    (verify, RUN, "rct verify allocation --roster roster.csv"),
    (enrol, RUN, "rct enrol ledger.sqlite --key secret.key --unit 0412 --level district=north"),
    (
        simulate,
        ANSWER,
        "rct simulate my_trial.toml --allocation allocation --effect force=0.72 --seed 1 --out panel.parquet",
    ),
    (
        panel,
        ANSWER,
        "rct panel my_trial.toml --allocation allocation --roster roster.csv "
        "--incidents 2018.csv 2019.csv --out panel.parquet",
    ),
    (
        estimate,
        ANSWER,
        "rct estimate my_trial.toml --panel panel.parquet --allocation allocation --out estimates",
    ),
    (
        report,
        ANSWER,
        "rct report my_trial.toml --panel panel.parquet --allocation allocation "
        "--estimates estimates --out report.html",
    ),
)
"""Every verb, the part of the help it stands in, and a worked example."""


class Verbs(TyperGroup):
    """The group of verbs; what the user can mend ends in one sentence and exit code 2, never a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Run a verb."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise
        except RctError as error:
            error_line(str(error))
            raise typer.Exit(BAD_INPUT) from None
        except OSError as error:
            error_line(f"{error.filename}: {error.strerror}" if error.filename else str(error))
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            error_line("interrupted; what was not finished is not written")
            raise typer.Exit(INTERRUPTED) from None


app = typer.Typer(
    name="rct",
    cls=Verbs,
    rich_markup_mode="rich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from rct import __version__

        print(f"rct {__version__}")
        raise typer.Exit


@app.callback(epilog="Exit codes: 0 done, 1 a check failed, 2 bad input, 130 interrupted.")
def _rct(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Randomized controlled trials of police training, from one declaration to the report."""


for _verb, _part, _example in VERBS:
    app.command(
        cls=SeveralFiles, rich_help_panel=_part, epilog=f"[bold]Example[/bold]\n[cyan]{_example}[/cyan]"
    )(_verb)


def main() -> None:
    """Run the command line."""
    app(prog_name="rct")
