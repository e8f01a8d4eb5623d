"""StartConfig: what a system is started from."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal, Self

import pydantic

from openmm_cgml.config import Config, Pressure, Temperature
from openmm_cgml.specification import Tacticity

__all__ = ["StartConfig", "StartFromRecordingConfig", "StartPolymerConfig"]

_CHAINS = re.compile(r"(\d+)x(\d+)")
_FEWEST_UNITS = 3


class StartConfig(Config):
    """What a system of small molecules is started from.

    Attributes:
        smiles: SMILES of each kind of molecule; of a mixture with its number of molecules, "CO=400".
        molecules: Number of molecules, where the SMILES do not say.
        beads: Beads of a molecule: one number for all kinds, or one for each in the order of the SMILES.
        bead: Atoms of each bead by their names ("C1 H1 H2 H3"), for one kind of molecule; in place of `beads`.
        charges: Partial charges: "bcc" for AM1-BCC, "abcg2" for its successor that was made for GAFF-2 (both take a
            semi-empirical calculation of seconds to minutes), or "gasteiger", at once and less exact.
        temperature: Temperature [K].
        pressure: Pressure at which the liquid finds its density [bar].
        seed: Seed of the geometries.
    """

    smiles: tuple[str, ...] = pydantic.Field(min_length=1)
    molecules: int | None = pydantic.Field(default=None, ge=1)
    beads: tuple[int, ...] = ()
    bead: tuple[str, ...] = ()
    charges: Literal["bcc", "abcg2", "gasteiger"] = "bcc"
    temperature: Temperature = pydantic.Field(default=300.0, gt=0.0)
    pressure: Pressure = 1.01325
    seed: int = pydantic.Field(default=1, ge=0, lt=2**31)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        n_kinds = len(self.smiles)
        if self.beads and self.bead:
            raise ValueError("beads and bead are both given; give the number of beads, or the atoms of each")
        if self.bead and n_kinds > 1:
            raise ValueError(
                f"bead names atoms of one kind of molecule, and there are {n_kinds}; give numbers of beads, and edit "
                "system.yaml afterwards"
            )
        if len(self.beads) not in (0, 1, n_kinds):
            raise ValueError(
                f"{len(self.beads)} numbers of beads for {n_kinds} kinds of molecules; give one, or one each"
            )
        return self

    def beads_of(self, kind: int) -> int:
        """Number of beads of a kind of molecule; 1 where nothing is said."""
        if not self.beads:
            return 1
        return self.beads[kind if len(self.beads) > 1 else 0]


class StartPolymerConfig(Config):
    """What a system of linear polymer chains is started from.

    Attributes:
        repeat: SMILES of the repeat unit with two open ends, "[*]CC(C)[*]"; the chain goes from the first to the
            second.
        ends: What the chain starts and ends with, SMILES with one open end; none for hydrogen, one for both ends, or
            one each.
        chains: Number of chains and of units in each, "10x50".
        tacticity: How neighboring stereocenters follow each other where the repeat unit leaves one open: "atactic",
            "isotactic" or "syndiotactic"; atactic where nothing is said.
        beads: Beads of a repeat unit.
        bead: Atoms of each bead of a repeat unit by their names ("C1 H1 H2"), in place of `beads`.
        charges: Partial charges; see `StartConfig`.
        temperature: Temperature [K].
        pressure: Pressure at which the melt or glass finds its density [bar].
        seed: Seed of the conformations.
    """

    repeat: str
    ends: tuple[str, ...] = pydantic.Field(default=(), max_length=2)
    chains: str
    tacticity: Tacticity | None = None
    beads: int = pydantic.Field(default=1, ge=1)
    bead: tuple[str, ...] = ()
    charges: Literal["bcc", "abcg2", "gasteiger"] = "bcc"
    temperature: Temperature = pydantic.Field(default=300.0, gt=0.0)
    pressure: Pressure = 1.01325
    seed: int = pydantic.Field(default=1, ge=0, lt=2**31)

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        match = _CHAINS.fullmatch(self.chains)
        if match is None or int(match[1]) < 1 or int(match[2]) < _FEWEST_UNITS:
            raise ValueError(
                f"chains is {self.chains!r}; write how many and of how many units each, at least {_FEWEST_UNITS}, like "
                "10x50"
            )
        if self.bead and self.beads != 1:
            raise ValueError("beads and bead are both given; give the number of beads, or the atoms of each")
        return self

    @property
    def n_chains(self) -> int:
        """Number of chains."""
        return int(self.chains.partition("x")[0])

    @property
    def monomers(self) -> int:
        """Units of each chain."""
        return int(self.chains.partition("x")[2])


class StartFromRecordingConfig(Config):
    """What a system that has been simulated already is started from.

    Attributes:
        recording: Output folder of `reference` or `import`, or a recording.
        mapping: A system.yaml with its beads, such as `suggest` writes, or VOTCA's XML mapping files, one for each kind
            of molecule; in place of `beads`, `bead` and `smarts`.
        beads: Beads of a residue, connected and of masses as even as can be.
        bead: Atoms of each bead by their names ("C1 C2"), for all residues that have them or for one ("MTH: C1"), in
            place of `beads`. Hydrogens go with what they are bonded to; residues of which no atom is named have none.
        smarts: SMARTS patterns of heavy atoms in the order of their priority, each match a bead, in place of `beads`.
        pressure: Pressure that fit and refine hold [bar].
    """

    recording: Path
    mapping: tuple[Path, ...] = ()
    beads: int = pydantic.Field(default=1, ge=1)
    bead: tuple[str, ...] = ()
    smarts: tuple[str, ...] = ()
    pressure: Pressure = 1.01325

    @pydantic.model_validator(mode="after")
    def _check(self) -> Self:
        given = [name for name in ("mapping", "beads", "bead", "smarts") if getattr(self, name) not in (1, ())]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given; each alone says what the beads are")
        return self
