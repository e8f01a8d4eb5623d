"""The `openmm-cgml` command: finds the verb, imports its module alone, and turns errors into messages and exit codes.

Exit codes: 0 done; 1 a fault of this program (a traceback says where); 2 wrong usage or input; 3 a file is missing,
unreadable or damaged; 4 the simulation or the training became unstable; 5 no room on the disk, in memory or on the
device; 130 and 143 interrupted by Ctrl-C and SIGTERM, finished work kept.
"""

import contextlib
import errno
import functools
import importlib
import keyword
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Annotated, Any

import typer

import openmm_cgml
from openmm_cgml.errors import ArtifactError, OpenMMCGMLError, SimulationError, TrainingError

VERBS = {
    "init": "Start a system of your own from SMILES: a folder that runs as it is.",
    "reference": "Run an atomistic system and record positions, forces and energies.",
    "import": "Import a trajectory of another program, with its forces: a recording.",
    "suggest": "Suggest mappings for a recording, each with a picture.",
    "judge": "Judge mappings on a recording: one table of what they keep, cut and cost.",
    "map": "Map a recording to beads: a force-matching dataset.",
    "thin": "Make a small copy of a dataset, for sharing.",
    "fit": "Fit priors and a network to a dataset: a force field.",
    "refine": "Adjust a force field until its own simulation has the structure of the reference.",
    "build": "Write topology, starting positions and a runnable script for a model.",
    "simulate": "Run a coarse-grained simulation.",
    "validate": "Compare coarse-grained runs with the atomistic reference.",
    "list": "Show the shipped models and systems.",
    "info": "Say what is in a model, a system, a dataset, a recording or a run.",
    "doctor": "Check this installation and say how to mend it.",
    "export": "Write a model that others can load, with its card.",
}
EXAMPLES = {
    "init": "init methanol --smiles CO --molecules 500 --beads 1",
    "reference": "reference benzene-1bead -o runs/atomistic --duration '200 ps'",
    "import": "import run.lammpstrj --topology run.data --units real --temperature '300 K' -o runs/imported",
    "suggest": "suggest runs/atomistic --beads 1-4 -o candidates",
    "judge": "judge runs/atomistic candidates/*.yaml",
    "map": "map runs/atomistic benzene-1bead -o data/benzene",
    "thin": "thin data/benzene -o data/small --frames 300",
    "fit": "fit fit.yaml -o runs/fit --data data/benzene",
    "refine": "refine runs/fit --data data/benzene --target pair -o runs/refined",
    "build": "build benzene-1bead --molecules 500 -o start",
    "simulate": "simulate benzene-1bead --molecules 500 --duration '200 ps' -o runs/cg",
    "validate": "validate runs/cg --reference benzene-1bead -o report",
    "list": "list --json",
    "info": "info benzene-1bead",
    "doctor": "doctor --json",
    "export": "export runs/refined -o models/mine --description 'Liquid benzene, one bead'",
}
"""One command line for each verb, without the program's name."""
_EPILOG = (
    "Exit codes: 0 done, 2 usage or input, 3 file missing or damaged, 4 unstable, 5 no room (disk, memory, device), "
    "130 and 143 interrupted with finished work kept."
)
_TERMINATED = 143
_VERBOSE = {"-v", "--verbose"}
_COMPLETION = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")  # where shells put the line that is being completed
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave with a documented exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without UTF-8 shows "?" where it lacks a character
    signal.signal(signal.SIGTERM, _leave_on_sigterm)
    debug = "--debug" in arguments
    if not _VERBOSE.isdisjoint(arguments):
        _show_log()
    # Taken out here, so that they are understood after the verb too.
    arguments = [argument for argument in arguments if argument != "--debug" and argument not in _VERBOSE]
    verb = _completed_verb() or next((argument for argument in arguments if not argument.startswith("-")), None)
    try:
        create_app(verb, debug=debug)(args=arguments, prog_name="openmm-cgml")
    finally:
        _flush_quietly()


def create_app(verb: str | None = None, *, debug: bool = False) -> typer.Typer:
    """The command-line application with one verb loaded and the others as names with their help.

    Args:
        verb: The verb whose module is imported; None imports none, which is enough for `--help`.
        debug: Show tracebacks instead of messages.
    """
    app = typer.Typer(
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        epilog=_EPILOG,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_top_level)
    for name, summary in VERBS.items():
        if name == verb:
            app.command(name, epilog=_example(name))(_load(name, debug))
        else:
            app.command(name, help=summary)(_not_loaded)
    return app


def _top_level(
    version: Annotated[
        bool, typer.Option("--version", callback=lambda asked: _print_version(asked), is_eager=True)
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; anywhere on the line.")
    ] = False,
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Say on stderr what is being done; anywhere on the line.")
    ] = False,
) -> None:
    """Machine-learned coarse-grained force fields for OpenMM."""


def _example(verb: str) -> str | None:
    return f"Example: openmm-cgml {EXAMPLES[verb]}" if verb in EXAMPLES else None


def _completed_verb() -> str | None:
    """The verb on the line that a shell asks to complete, if it asks and the line has one."""
    words = next((os.environ[name] for name in _COMPLETION if name in os.environ), "").split()
    return next((word for word in words[1:] if word in VERBS), None)


def _show_log() -> None:
    """Write the log of this package to stderr, with the seconds since the program began."""
    handler = logging.StreamHandler()
    handler.setFormatter(_SinceStart("%(seconds)7.2f s  %(message)s"))
    logger = logging.getLogger("openmm_cgml")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)


class _SinceStart(logging.Formatter):
    """Knows `%(seconds)s`, the time since logging was loaded."""

    def format(self, record: logging.LogRecord) -> str:
        record.seconds = record.relativeCreated / 1000
        return super().format(record)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"openmm-cgml {openmm_cgml.__version__}")
        raise typer.Exit


def _not_loaded() -> None:
    raise AssertionError("a verb was called that create_app was not told about")


def _load(verb: str, debug: bool) -> Callable[..., Any]:
    """The function of a verb, wrapped so that deliberate errors end in a message and an exit code."""
    name = f"{verb}_" if keyword.iskeyword(verb) else verb
    function = getattr(importlib.import_module(f"openmm_cgml.cli.{name}"), name)

    @functools.wraps(function)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        with contextlib.nullcontext() if debug else exit_codes():
            return function(*args, **kwargs)

    return guarded


@contextlib.contextmanager
def exit_codes() -> Iterator[None]:
    """Turn deliberate errors, full disks and interruptions into one message on stderr and the documented exit code."""
    try:
        yield
    except KeyboardInterrupt as error:
        raise _leave(130, "interrupted; finished work is kept, --resume goes on from there") from error
    except SystemExit as error:
        if error.code == _TERMINATED:
            raise _leave(_TERMINATED, "terminated; finished work is kept, --resume goes on from there") from error
        raise
    except OpenMMCGMLError as error:
        raise _leave(_exit_code(error), str(error)) from error
    except MemoryError as error:
        raise _leave(5, f"out of memory: {error}") from error
    except BrokenPipeError as error:
        raise typer.Exit(0) from error
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise _leave(5, f"no room to write {error.filename or 'the output'}: {error.strerror}") from error
        if isinstance(error, FileNotFoundError | PermissionError | IsADirectoryError | NotADirectoryError):
            raise _leave(3, f"{error.filename}: {error.strerror}") from error
        raise


def _exit_code(error: OpenMMCGMLError) -> int:
    if isinstance(error, ArtifactError):
        return 3
    return 4 if isinstance(error, SimulationError | TrainingError) else 2


def _leave(code: int, message: str) -> typer.Exit:
    typer.echo(f"openmm-cgml: {message}", err=True)
    return typer.Exit(code)


def _leave_on_sigterm(number: int, frame: FrameType | None) -> None:
    sys.exit(_TERMINATED)


def _flush_quietly() -> None:
    """Flush stdout; a reader that closed the pipe is no error, now or when the interpreter flushes at its end."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
