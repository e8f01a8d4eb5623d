import numpy as np
from matplotlib import image

from openmm_cgml.frames import Frames
from openmm_cgml.potentials import PowerRepulsionConfig
from openmm_cgml.priors import PriorConfig, fit_priors, report_priors
from openmm_cgml.topology import CGTopology, ResidueTemplate
from openmm_cgml.training.plots import plot_losses, plot_priors


def test_priors_are_drawn_one_column_each_also_where_there_are_none(tmp_path):
    template = ResidueTemplate(
        name="MOL", bead_names=("A0", "A1", "B"), bead_type_names=("A", "A", "B"), masses=(20.0,) * 3, bonds=((0, 1),)
    )
    topology = CGTopology.from_residues([(template, 27)])
    rng = np.random.default_rng(0)
    frames = Frames(positions=rng.uniform(0, 3, (20, 81, 3)), box=np.tile(3 * np.eye(3), (20, 1, 1)))
    sizes = []
    for repulsion in (None, PowerRepulsionConfig(sigma=0.2, cutoff=0.2)):
        priors = fit_priors(PriorConfig(repulsion=repulsion), topology, frames, 300.0)
        plot_priors(report_priors(priors, topology, frames, 300.0), tmp_path / "priors.png")
        picture = image.imread(tmp_path / "priors.png")
        assert picture[..., :3].std() > 0.05
        sizes.append(picture.shape[1])
    assert sizes[0] * 4 == sizes[1]
    lonely = CGTopology.from_residues(
        [(ResidueTemplate(name="ONE", bead_names=("A",), bead_type_names=("A",), masses=(20.0,)), 81)]
    )
    priors = fit_priors(PriorConfig(repulsion=None), lonely, frames, 300.0)
    plot_priors(report_priors(priors, lonely, frames, 300.0), tmp_path / "none.png")
    assert (tmp_path / "none.png").stat().st_size > 0


def test_losses_are_drawn_with_a_panel_for_energies_where_there_are_any(tmp_path):
    rows = [{"epoch": k, "train_force_rmse": 3.0 - k, "validation_force_rmse": 3.5 - k} for k in range(3)]
    plot_losses(rows, tmp_path / "loss.png")
    narrow = image.imread(tmp_path / "loss.png").shape[1]
    plot_losses([{**row, "train_energy_rmse_per_bead": 1.0} for row in rows], tmp_path / "loss.png")
    assert image.imread(tmp_path / "loss.png").shape[1] == 2 * narrow
