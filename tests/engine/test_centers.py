"""The engine for pair priors between centers against their potentials."""

import numpy as np
import pytest
import torch

from openmm_cgml.engine import DeployedCenters, DeployedSites, create_ml_force, deploy_sites
from openmm_cgml.engine.pair_parity import measure_pair_parity
from openmm_cgml.engine.portable import pack_sites, unpack_sites
from openmm_cgml.engine.sites import TabulatedSites
from openmm_cgml.errors import InputError, SimulationError
from openmm_cgml.potentials import SitePairs, evaluate
from tests.site_models import center_priors, site_fluid, site_topology


def bind(kind, n_molecules, n_replicas=1):
    topology = site_topology(kind, n_molecules).repeated(n_replicas)
    return [potential for potential in center_priors(kind).bind(topology) if isinstance(potential, SitePairs)]


def expected(potentials, positions, box):
    energy, forces = evaluate(potentials, torch.tensor(positions), None if box is None else torch.tensor(box))
    return float(energy), forces.numpy()


@pytest.mark.physics
@pytest.mark.parametrize("kind", ["R", "C"])
@pytest.mark.parametrize("shape", ["cubic", "tilted", "open"])
def test_the_engine_computes_what_the_potentials_say(kind, shape):
    frames = site_fluid(kind, 4, 1, tilted=shape == "tilted")
    potentials = bind(kind, 64)
    assert [potential.name for potential in potentials][1].startswith("pair spline between centers of")
    box = None if shape == "open" else frames.box[0]
    positions = frames.positions[0]
    if box is not None:
        positions = positions + np.random.default_rng(0).integers(-3, 4, positions.shape) @ box
    wanted = expected(potentials, positions, box)
    energy, forces = TabulatedSites(deploy_sites(potentials), n_threads=1)(positions, box)
    scale = np.sqrt((wanted[1] ** 2).mean())
    assert energy == pytest.approx(wanted[0], rel=1e-5)
    assert np.abs(forces - wanted[1]).max() < 1e-5 * scale
    alone = TabulatedSites(deploy_sites(potentials[:1]), n_threads=1)(positions, box)[1]
    assert np.abs(alone - wanted[1]).max() > 1e-3 * scale, "the control: without the centers"


def test_copies_do_not_see_each_other():
    frames = site_fluid("R", 4, 2)
    energy, forces = TabulatedSites(deploy_sites(bind("R", 64, 2), n_replicas=2), n_threads=1)(
        frames.positions.reshape(-1, 3), frames.box[0]
    )
    each = [expected(bind("R", 64), positions, frames.box[0]) for positions in frames.positions]
    assert energy == pytest.approx(each[0][0] + each[1][0], rel=1e-5)
    np.testing.assert_allclose(forces, np.concatenate([each[0][1], each[1][1]]), atol=1e-2)


@pytest.mark.parametrize("kind", ["R", "C"])
def test_packed_centers_come_back(kind):
    deployed = deploy_sites(bind(kind, 64))
    again = unpack_sites(pack_sites(deployed))
    assert isinstance(again.centers, DeployedCenters)
    assert again.centers.centers.type_names == deployed.centers.centers.type_names
    frames = site_fluid(kind, 4, 1)
    both = [TabulatedSites(each, n_threads=1)(frames.positions[0], frames.box[0]) for each in (deployed, again)]
    assert both[0][0] == both[1][0]
    np.testing.assert_array_equal(both[0][1], both[1][1])
    assert create_ml_force(deployed, periodic=True).getName() == "pair priors"


def test_parity_counts_the_centers():
    frames, potentials = site_fluid("R", 4, 1), bind("R", 64)
    where = frames.positions[0], frames.box[0]
    assert measure_pair_parity(deploy_sites(potentials), potentials, *where) < 1e-4
    with pytest.raises(SimulationError, match="differ from them"):
        measure_pair_parity(deploy_sites(potentials[:1]), potentials, *where)


def test_what_does_not_fit_together_is_refused():
    many, few = deploy_sites(bind("R", 64)), deploy_sites(bind("R", 8))
    with pytest.raises(InputError, match="bound to 64 centers, and there are 8"):
        DeployedCenters(centers=few.centers.centers, pair_table=many.centers.pair_table)
    with pytest.raises(InputError, match="centers are of 24 beads, and the sites belong to 192"):
        DeployedSites(sites=many.sites, pair_table=many.pair_table, centers=few.centers)
