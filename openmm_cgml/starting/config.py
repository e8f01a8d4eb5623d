"""StartConfig: what a system is started from."""

from __future__ import annotations

from typing import Literal, Self

import pydantic

from openmm_cgml.config import Config, Pressure, Temperature

__all__ = ["StartConfig"]


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
