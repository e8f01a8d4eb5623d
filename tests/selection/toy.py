"""A system of 64 molecules with a recipe whose stages take a second each."""

from pathlib import Path

import yaml

from openmm_cgml.shipped import find_system

FIT = """
name: toy
description: For a test.
data: {n_blocks: 6, fractions: [0.6, 0.2, 0.2], mean_force_separation: 0 nm}
priors:
  repulsion: {exponent: 12, epsilon: 1 kcal/mol, sigma: 0.40 nm, cutoff: 0.7 nm, switch_distance: 0.6 nm}
network: {n_features: 6, n_filters: 5, n_inter_blocks: 1, n_basis: 8, cutoff: 0.7 nm}
training: {epochs: 1, batch_size: 8, filter_knots: 40}
"""
SPLINE = """
name: toy-pair-spline
data: {n_blocks: 6, fractions: [0.6, 0.2, 0.2], mean_force_separation: 0 nm}
priors:
  pairs: {form: spline, cutoff: 0.7 nm}
network: null
"""
REFINE = """
target: network
rounds: 1
duration: 0.2 ps
equilibration: 0.05 ps
first_equilibration: 0.05 ps
frame_interval: 0.05 ps
steps: 1
reference_frames: 8
"""
RECIPE = """
name: toy
reference:
  name: toy
  run: {molecules: 64, density: 0.5 g/cm^3, relaxation_duration: 0.04 ps, duration: 0.4 ps, frame_interval: 8 fs}
mean_forces: {configurations: 2, last_fraction: 0.5, equilibration: 0.02 ps, duration: 0.08 ps, sample_interval: 0.02 ps}
energy_weights: [0.1]
variants: {other: other.yaml}
refinement: refine.yaml
simulation: {duration: 0.6 ps, time_step: 5 fs, frame_interval: 25 fs, seeds: [1, 2], variant_seeds: [1]}
pair_spline: pair-spline.yaml
sizes: {molecules: [64, 80], duration: 0.3 ps}
limits: {gr_com_rmse: 5.0}
long_runs: {duration: 0.6 ps, equilibration: 0.1 ps, sizes_duration: 0.1 ps}
time_steps:
  {time_step: 5 fs, intervals: [2], single_steps: [5 fs], molecules: 64, equilibration: 0.1 ps, nvt: 0.6 ps, nve: 0.3 ps, nve_frame_interval: 10 fs}
"""


def write_system(folder: Path, **changes: object) -> Path:
    """The toy system; keyword arguments replace entries of its recipe."""
    folder.mkdir(parents=True)
    system = yaml.safe_load((find_system("benzene-1bead") / "system.yaml").read_text())
    system["name"] = "toy"
    system["residues"][0]["count"] = 64
    system["reference"] |= {"density": "0.5 g/cm^3", "cutoff": "0.7 nm", "switch_distance": "0.6 nm"}
    (folder / "system.yaml").write_text(yaml.safe_dump(system))
    for name in ("fit.yaml", "other.yaml"):
        (folder / name).write_text(FIT)
    (folder / "pair-spline.yaml").write_text(SPLINE)
    (folder / "refine.yaml").write_text(REFINE)
    recipe = {**yaml.safe_load(RECIPE), **changes}
    (folder / "recipe.yaml").write_text(
        yaml.safe_dump({key: value for key, value in recipe.items() if value is not None})
    )
    return folder


CHAIN_FIT = """
name: toy-chains
description: For a test.
data: {n_blocks: 6, fractions: [0.6, 0.2, 0.2]}
priors:
  exclude_bonds: 3
  bonds: {length: 0.166 nm, stiffness: 182000 kJ/mol/nm^2}
  angles: {form: cosine, harmonics: 4}
  torsions: {coefficients: fit}
  repulsion: {exponent: 12, epsilon: 1 kcal/mol, sigma: 0.35 nm, cutoff: 0.7 nm, switch_distance: 0.6 nm}
network:
  {n_features: 6, n_filters: 5, n_inter_blocks: 1, n_intra_blocks: 1, n_basis: 8, cutoff: 0.7 nm, separate_readouts: true, include_bonded: false}
training: {epochs: 1, batch_size: 8, filter_knots: 40, target: split}
"""
CHAIN_SPLINE = (
    CHAIN_FIT[: CHAIN_FIT.index("  repulsion")]
    + """
  pairs: {form: spline, cutoff: 0.7 nm}
network: null
"""
)
CHAIN_REFINE = """
target: bonded
rounds: 1
duration: 0.4 ps
equilibration: 0.05 ps
first_equilibration: 0.05 ps
frame_interval: 0.02 ps
time_step: 1.6 fs
reference_frames: 20
"""
CHAIN_RECIPE = """
name: toy-chains
reference:
  name: toy-chains
  protocol: quick.yaml
  run: {density: 0.1 g/cm^3, relaxation_duration: 0.04 ps, duration: 0.6 ps, frame_interval: 10 fs}
variants: {published: fit.yaml}
refinement: refine.yaml
simulation: {duration: 0.8 ps, time_step: 1.6 fs, network_interval: 2, frame_interval: 16 fs, seeds: [1, 2], variant_seeds: [1]}
pair_spline: pair-spline.yaml
transfer: {boxes: [[6, 6]], duration: 0.8 ps}
picture: {plate: gr-inter-all, bead_diameter: 0.22 nm}
"""
QUICK = """
equilibration:
  - {name: warm, temperature: 400 kelvin, duration: 0.04 ps, time_step: 1 fs}
"""


def write_chain_system(folder: Path) -> Path:
    """A toy system of eight short chains with its recipe."""
    folder.mkdir(parents=True)
    system = yaml.safe_load((find_system("polyethylene-2bead") / "system.yaml").read_text())
    system["name"] = "toy-chains"
    system["chains"][0] |= {"monomers": 4, "count": 8}
    system["reference"] |= {
        "cutoff": "0.7 nm",
        "switch_distance": "0.6 nm",
        "density": "0.05 g/cm^3",
        "time_step": "2 fs",
    }
    (folder / "system.yaml").write_text(yaml.safe_dump(system))
    for name, text in (
        ("fit", CHAIN_FIT),
        ("pair-spline", CHAIN_SPLINE),
        ("refine", CHAIN_REFINE),
        ("recipe", CHAIN_RECIPE),
        ("quick", QUICK),
    ):
        (folder / f"{name}.yaml").write_text(text)
    return folder
