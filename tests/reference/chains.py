"""A small, dilute box of short polyethylene chains."""

from openmm_cgml.reference import ChainBox, find_polymer
from openmm_cgml.reference.chain_force_fields import find_chain_force_field
from openmm_cgml.specification import ReferenceSpecification, read_specification

N_CHAINS, MONOMERS = 2, 4
SETTINGS = ReferenceSpecification(
    force_field="gaff-2.11", density=0.03, cutoff=0.7, switch_distance=0.6, time_step=0.002,
    equilibration=(
        {"name": "warm", "temperature": 400.0, "duration": 0.04, "time_step": 0.001},
        {"name": "cool", "temperature": 400.0, "final_temperature": 300.0, "pressure": 1.0, "duration": 0.08},
    ),
)  # fmt: skip


def specification(**changes):
    settings = SETTINGS.model_copy(update=changes)
    return read_specification("polyethylene-2bead").model_copy(update={"reference": settings})


def box(n_chains=N_CHAINS, monomers=MONOMERS):
    return ChainBox(find_polymer("polyethylene"), n_chains, monomers, find_chain_force_field("gaff-2.11"))
