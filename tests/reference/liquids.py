"""A small, dilute and cheap box of benzene, and what is needed to simulate it."""

import numpy as np
import openmm
from openmm import app

from openmm_cgml.frames import Frames
from openmm_cgml.reference import Mixture, create_reference_system, find_atomistic_model
from openmm_cgml.reference.atomistic_box import box_length
from openmm_cgml.reference.liquid_box import place_on_lattice
from openmm_cgml.shards import FrameWriter
from openmm_cgml.specification import ReferenceSpecification, read_specification
from openmm_cgml.topology import AtomTopology

N_MOLECULES = 27
DENSITY = 0.5
MODEL = find_atomistic_model("amber-cornell-benzene")
BOX = Mixture.of(MODEL, N_MOLECULES)
SETTINGS = ReferenceSpecification(
    force_field=MODEL.name, density=DENSITY, cutoff=0.7, switch_distance=0.6, time_step=0.004
)
LENGTH = box_length(float(MODEL.masses.sum()) * N_MOLECULES, DENSITY)


def specification(name="benzene-1bead"):
    return read_specification(name).model_copy(update={"reference": SETTINGS})


def positions(seed=0):
    return place_on_lattice(BOX, LENGTH, seed)


def split_system():
    return create_reference_system(BOX, SETTINGS, LENGTH)


def plain_system():
    topology = MODEL.topology(N_MOLECULES)
    topology.setUnitCellDimensions(openmm.Vec3(LENGTH, LENGTH, LENGTH))
    return MODEL.force_field().createSystem(
        topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=SETTINGS.cutoff,
        switchDistance=SETTINGS.switch_distance,
        constraints=app.HBonds,
        hydrogenMass=SETTINGS.hydrogen_mass,
    )


def simulation(system, topology=None, platform="CPU"):
    topology = topology or MODEL.topology(N_MOLECULES)
    integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, SETTINGS.time_step)
    integrator.setRandomNumberSeed(1)
    properties = {"Threads": "1"} if platform == "CPU" else {}
    result = app.Simulation(topology, system, integrator, openmm.Platform.getPlatform(platform), properties)
    result.context.setPositions(positions())
    result.context.setVelocitiesToTemperature(300.0, 1)
    return result


def write_recording(
    path, n_frames=20, *, kind="openmm-cgml/recording", energies=("inter", "bonded", "intra_nonbonded", "kinetic")
):
    """Lattice boxes with other orientations per frame and made-up energies."""
    topology, system = split_system()
    constraints = [system.getConstraintParameters(i)[:2] for i in range(system.getNumConstraints())]
    metadata = {
        "kind": kind,
        "temperature": 300.0,
        "density": DENSITY,
        "atoms": AtomTopology.from_openmm(topology, constraints=constraints).to_dict(),
        "source": {"force_field": MODEL.name},
    }
    values = np.random.default_rng(0).normal(-27.5 * N_MOLECULES, 10.0, n_frames)
    with FrameWriter(path, metadata=metadata) as writer:
        writer.append(Frames(
            positions=np.stack([positions(seed) for seed in range(n_frames)]),
            box=np.repeat(LENGTH * np.eye(3)[None], n_frames, axis=0),
            times=0.2 * np.arange(n_frames),
            energies={name: values for name in energies if name != "kinetic"} | {"kinetic": np.full(n_frames, 1000.0)},
        ))  # fmt: skip
    return path
