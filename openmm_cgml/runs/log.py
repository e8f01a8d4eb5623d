"""`log.csv`: one line per frame; columns are found by name, so that logs of earlier versions go on as they began."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import numpy as np

from openmm_cgml.errors import ArtifactError
from openmm_cgml.runs.snapshot import Snapshot

STEP, TIME, TEMPERATURE = "step", "time_ps", "temperature_K"
POTENTIAL, KINETIC, SPEED = "potential_kJ_per_mol", "kinetic_kJ_per_mol", "steps_per_s"
DENSITY, PRESSURE = "density_g_per_cm3", "pressure_bar"
COLUMNS = (STEP, TIME, TEMPERATURE, POTENTIAL, KINETIC, DENSITY, PRESSURE, SPEED)
"""Density and pressure are empty without a box, and the pressure in frames where it was not measured."""


class LogWriter:
    """Appends lines to a log, with the columns that the file has, or `COLUMNS` if it is new.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        if not path.exists():
            path.write_text(",".join(COLUMNS) + "\n", encoding="utf8")
        self._columns = _read_columns(path)
        self._file = open(path, "a", encoding="utf8")  # noqa: SIM115

    def append(self, snapshot: Snapshot, steps_per_second: float) -> None:
        """Write the line of one frame."""
        values = _describe(snapshot, steps_per_second)
        self._file.write(",".join(values[column] for column in self._columns) + "\n")
        self._file.flush()

    def flush(self) -> None:
        """Hand everything to the operating system."""
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> LogWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_log(path: Path) -> Mapping[str, np.ndarray]:
    """Every column of a log by its name, shape (n_frames,); a value that was not taken is NaN.

    Raises:
        ArtifactError: If the file is no log.
    """
    columns = _read_columns(path)
    lines = path.read_text(encoding="utf8").splitlines()[1:]
    try:
        rows = np.array([[float(value or "nan") for value in line.split(",")] for line in lines])
        rows = rows.reshape(len(lines), len(columns))
    except ValueError as error:
        raise ArtifactError(f"{path}: a line does not hold {len(columns)} numbers ({error})") from error
    return dict(zip(columns, rows.T, strict=True))


def _read_columns(path: Path) -> list[str]:
    with open(path, encoding="utf8") as file:
        columns = file.readline().rstrip("\n").split(",")
    if not set(columns) <= set(COLUMNS):
        raise ArtifactError(f"{path}: unknown columns {sorted(set(columns) - set(COLUMNS))}; not the log of a run")
    return columns


def _describe(snapshot: Snapshot, steps_per_second: float) -> dict[str, str]:
    return {
        STEP: f"{snapshot.step}",
        TIME: f"{snapshot.time:.6f}",
        TEMPERATURE: f"{snapshot.temperature:.3f}",
        POTENTIAL: f"{snapshot.potential_energy:.8g}",
        KINETIC: f"{snapshot.kinetic_energy:.8g}",
        DENSITY: "" if snapshot.density is None else f"{snapshot.density:.6f}",
        PRESSURE: "" if snapshot.pressure is None else f"{snapshot.pressure:.3f}",
        SPEED: f"{steps_per_second:.1f}",
    }
