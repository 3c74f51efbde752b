"""matrix-fleet: compile, check and explain a fleet, its secrets, its images, and how it is. Exit code 0, or 1 with what
is wrong on stderr."""

from __future__ import annotations

import errno
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Optional

import typer

from matrixfleet.errors import Fault, FleetError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)

Targets = Annotated[Optional[list[str]], typer.Option("--target", "-t", help="One target, e.g. eu1.acme.")]  # noqa: UP045


def repository() -> Path:
    """The repository's top: the nearest folder upwards that holds `.kapitan`."""
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / ".kapitan").is_file():
            return folder
    raise FleetError([Fault(str(here), 0, "", "no .kapitan here or above; expected the repository's folder")])


@app.command()
def compile(
    target: Targets = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Kapitan's own log.")] = False,
) -> None:
    """Compile the fleet and check it; compiled/ changes only when both succeed."""
    from matrixfleet.cli.compile import compile_fleet

    typer.echo(compile_fleet(repository(), list(target or ()), verbose=verbose))


@app.command()
def check(
    base: Annotated[str, typer.Option(help="A commit: refuse what must not change since it.")] = "",
) -> None:
    """Compare compiled/ and argocd/ with the inventory, byte for byte, and hold them against every rule."""
    from matrixfleet.cli.check import check_fleet

    typer.echo(check_fleet(repository(), base))


@app.command()
def explain(
    target: Annotated[str, typer.Argument(help="A target, e.g. eu1.acme.")],
    key: Annotated[str, typer.Argument(help="A key, e.g. matrix.synapse.presence.")],
) -> None:
    """Tell a key's value, where it was said, and which objects it changes."""
    from matrixfleet.cli.explain import explain_key

    typer.echo(explain_key(repository(), target, key))


@app.command()
def secrets(
    target: Annotated[str, typer.Argument(help="A tenant's target, e.g. eu1.acme.")],
    create: Annotated[
        str, typer.Option(metavar="CONTEXT", help="Create what is absent in the cluster of this context of kubectl.")
    ] = "",
    fresh: Annotated[str, typer.Option(metavar="SECRET", help="Fresh values of one Secret as JSON, into a pipe.")] = "",
) -> None:
    """Tell a tenant's secrets: who makes them, who reads them, how each is rotated. Values are never shown."""
    from matrixfleet.cli.secrets import create_absent, fresh_values, told

    if fresh:
        fresh_values(repository(), target, fresh, sys.stdout)
    else:
        typer.echo(create_absent(repository(), target, create) if create else told(repository(), target))


@app.command()
def status(
    cluster: Annotated[str, typer.Argument(help="A cluster, e.g. eu1.")],
    prometheus: Annotated[str, typer.Option(help="Its Prometheus, e.g. http://localhost:9090.")],
    context: Annotated[str, typer.Option(help="Of kubectl; else KUBECONFIG's, where that is set.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """One line a tenant: health, version, size of its database, age of its backup, days of its certificate."""
    # By name: `matrixfleet.cli.status` is this function.
    from matrixfleet.cli.status import as_json as told
    from matrixfleet.cli.status import as_table, status_of

    found = status_of(repository(), cluster, prometheus, context)
    typer.echo(told(found) if as_json else as_table(found))


@app.command()
def images(
    names: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(metavar="[IMAGE]...", help="With --renew and --check: images of the release, e.g. synapse."),
    ] = None,
    renew: Annotated[
        bool, typer.Option("--renew", help="Ask registries what tags mean, and write it to release classes.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Fail for tags that mean something else by now.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """List the images and charts that the compiled fleet pulls; write or compare their digests."""
    from matrixfleet.cli.images import as_json as told
    from matrixfleet.cli.images import as_table, checked, inventory_of, renewed

    chosen = list(names or ())
    if renew + check + as_json > 1 or (chosen and not (renew or check)):
        message = "expected one of --renew, --check and --json, and IMAGE with the first two alone"
        raise FleetError([Fault("", 0, "images", message)])
    if renew or check:
        typer.echo((renewed if renew else checked)(repository(), chosen))
    else:
        found = inventory_of(repository())
        typer.echo(told(found) if as_json else as_table(found))


@app.command()
def schema(
    write: Annotated[bool, typer.Option("--write", help="Write it to inventory/schema.json.")] = False,
) -> None:
    """The inventory's JSON Schema, for editors."""
    from matrixfleet.cli.schema import SCHEMA_FILE, inventory_schema

    if write:
        (repository() / SCHEMA_FILE).write_text(inventory_schema(), encoding="utf-8")
    else:
        typer.echo(inventory_schema(), nl=False)


def main() -> None:
    """The console script."""
    try:
        app()
    except FleetError as error:
        typer.echo(str(error), err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read the output has enough of it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        typer.echo(_unusable(error), err=True)
        sys.exit(1)


_HINTS = {
    errno.ENOSPC: "make room on that file system",
    errno.EDQUOT: "make room within your quota",
    errno.EROFS: "expected a checkout that can be written",
    errno.EACCES: "expected a checkout that this user can read and write",
    errno.EPERM: "expected a checkout that this user can read and write",
    errno.ENOTDIR: "expected a folder there; remove the file",
    errno.EEXIST: "expected a folder there; remove the file",
    errno.EISDIR: "expected a file there; remove the folder",
}


def _unusable(error: OSError) -> str:
    """What the machine refused, in one line."""
    place = str(error.filename or "")
    with suppress(ValueError):
        place = str(Path(place).relative_to(Path.cwd())) if place else place
    hint = _HINTS.get(error.errno or 0, "")
    return (f"{place}: " if place else "") + str(error.strerror or error) + (f"; {hint}" if hint else "")
