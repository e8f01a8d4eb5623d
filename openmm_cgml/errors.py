"""The exceptions that openmm_cgml raises on purpose.

Each also inherits the builtin that fits, so `except ValueError` keeps working. Messages say what was wrong, the
value, what would be right, and how to get there.
"""


class OpenMMCGMLError(Exception):
    """Base class of every deliberate error of this package."""


class InputError(OpenMMCGMLError, ValueError):
    """An argument, a configuration or the content of an input is wrong."""


class ArtifactError(OpenMMCGMLError, ValueError):
    """A file or folder of ours is damaged, incomplete or of an incompatible version."""


class OutputExistsError(OpenMMCGMLError, FileExistsError):
    """The output is already there and neither overwriting nor resuming was asked for."""


class MissingDependencyError(OpenMMCGMLError, ImportError):
    """An optional package is needed; the message names the command that installs it."""


class SimulationError(OpenMMCGMLError, RuntimeError):
    """A simulation became unstable or produced values that are not finite."""


class DatasetWarning(UserWarning):
    """Data that are possible, but hardly what was meant."""


class PriorWarning(UserWarning):
    """A fitted prior that is possible but does not describe the data well."""


class TrainingError(OpenMMCGMLError, RuntimeError):
    """Training produced values that are not finite or cannot be resumed as asked."""
