"""Small boxes of chains with all kinds of non-bonded forces, as users' Systems have them."""

import numpy as np
import openmm

PLATFORM = openmm.Platform.getPlatformByName("Reference")
N_CHAINS, LENGTH = 6, 6
EDGE = 4.0
CHAINS = [list(range(LENGTH * m, LENGTH * (m + 1))) for m in range(N_CHAINS)]


def chains(method="PME", *, switch=False, custom=False, blend=False, nonbonded_group=0, bond_group=0, cutoff=1.2):
    """System and positions of six chains of six particles; ordinary pairs within them are nearer and farther than 1.2 nm."""
    system, standard, bonds = openmm.System(), openmm.NonbondedForce(), openmm.HarmonicBondForce()
    standard.setNonbondedMethod(getattr(standard, method))
    standard.setCutoffDistance(cutoff)
    if switch:
        standard.setUseSwitchingFunction(True)
        standard.setSwitchingDistance(0.7 * cutoff)
    system.setDefaultPeriodicBoxVectors([EDGE, 0, 0], [0, EDGE, 0], [0, 0, EDGE])
    positions, joined = [], []
    for m in range(N_CHAINS):
        charge, epsilon = (0.0, 2.0) if blend and m >= N_CHAINS // 2 else (0.2, 0.5)
        for k in range(LENGTH):
            system.addParticle(14.0)
            standard.addParticle(charge * (-1) ** k, 0.35, epsilon)
            positions.append([0.5 + 0.26 * k, 0.5 + 0.6 * (m % 3), 0.5 + 0.6 * (m // 3) + 0.05 * (-1) ** k])
            if k:
                joined.append((LENGTH * m + k - 1, LENGTH * m + k))
                bonds.addBond(*joined[-1], 0.25, 1000.0)
    standard.createExceptionsFromBonds(joined, 0.5, 0.5)
    for force, group in ((bonds, bond_group), (standard, nonbonded_group)):
        force.setForceGroup(group)
        system.addForce(force)
    if custom:
        system.addForce(_lennard_jones_of(standard))
    return system, np.array(positions)


def _lennard_jones_of(standard):
    """Moves the Lennard-Jones energy of ordinary pairs into a CustomNonbondedForce with a table, as NBFIX does."""
    force = openmm.CustomNonbondedForce("scale*table(kind1,kind2)*((s/r)^12 - (s/r)^6); s = 0.5*(sigma1+sigma2)")
    force.addGlobalParameter("scale", 1.0)
    force.addPerParticleParameter("kind")
    force.addPerParticleParameter("sigma")
    force.addTabulatedFunction("table", openmm.Discrete2DFunction(1, 1, [2.0]))
    for i in range(standard.getNumParticles()):
        charge, sigma, _ = standard.getParticleParameters(i)
        force.addParticle([0.0, sigma._value])
        standard.setParticleParameters(i, charge, sigma, 0.0)
    for k in range(standard.getNumExceptions()):
        force.addExclusion(*standard.getExceptionParameters(k)[:2])
    periodic = standard.usesPeriodicBoundaryConditions()
    force.setNonbondedMethod(force.CutoffPeriodic if periodic else force.NoCutoff)
    force.setCutoffDistance(standard.getCutoffDistance())
    force.setUseSwitchingFunction(standard.getUseSwitchingFunction())
    force.setSwitchingDistance(standard.getSwitchingDistance())
    force.setForceGroup(standard.getForceGroup())
    return force


def context(system, positions):
    made = openmm.Context(system, openmm.VerletIntegrator(0.001), PLATFORM)
    made.setPositions(positions)
    return made


def state(system, positions, groups=-1):
    """Energy [kJ/mol] and forces [kJ/mol/nm]."""
    found = context(system, positions).getState(energy=True, forces=True, groups=groups)
    return found.getPotentialEnergy()._value, np.asarray(found.getForces(asNumpy=True)._value)
