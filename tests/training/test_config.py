import itertools

import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.networks import build_network
from openmm_cgml.training import FitConfig, TrainingConfig
from openmm_cgml.training.config import read_fit_config

PUBLISHED = """
name: {name}
data:
  datasets: runs/{name}
priors:
  {bonds}
  repulsion: {{sigma: {sigma} angstrom, epsilon: 1 kcal/mol, exponent: {n}, cutoff: {cutoff} angstrom}}
network:
  n_features: {n_features}
  n_filters: {n_filters}
  n_inter_blocks: {n_inter_blocks}
  n_intra_blocks: {n_intra_blocks}
  activation: {activation}
  n_basis: {n_basis}
  cutoff: {cutoff} angstrom
training:
  batch_size: {batch_size}
  energy_weight: {energy_weight}
  energy_normalization: total
"""
BONDS = "bonds: {length: fit, stiffness: 1000 kcal/mol/angstrom^2, convention: full}"
BENZENE_1 = {
    "name": "benzene-1bead",
    "bonds": "exclude_bonds: 0",
    "sigma": 5,
    "n": 7,
    "cutoff": 8,
    "energy_weight": 0.1,
}
BENZENE_3 = {"name": "benzene-3bead", "bonds": BONDS, "sigma": 3.5, "n": 6, "cutoff": 6, "energy_weight": 0.1}
NETWORK = {
    "n_features": 240, "n_filters": 256, "n_inter_blocks": 3, "n_intra_blocks": 0, "activation": "shifted_softplus",
    "n_basis": 80, "batch_size": 10,
}  # fmt: skip


def _read(tmp_path, **settings):
    (tmp_path / "fit.yaml").write_text(PUBLISHED.format(**settings))
    return read_fit_config(tmp_path / "fit.yaml")


def _published():
    for model in (BENZENE_1, {**BENZENE_3, "n_intra_blocks": 1}):
        yield {**NETWORK, **model}
        for blocks in (1, 2, 4, 6):
            yield {**NETWORK, **model, "n_inter_blocks": blocks}
        widths = itertools.product(((120, 128), (240, 256)), (40, 80), ("tanh", "shifted_softplus"), (1, 50))
        for (features, filters), basis, activation, batch_size in widths:
            yield {
                **NETWORK, **model, "n_features": features, "n_filters": filters, "n_basis": basis,
                "activation": activation, "batch_size": batch_size,
            }  # fmt: skip
    for sigma, n, energy_weight, intra in itertools.product((3, 4), (6, 12), (0, 0.01, 1), (0, 1)):
        yield {**NETWORK, **BENZENE_3, "sigma": sigma, "n": n, "energy_weight": energy_weight, "n_intra_blocks": intra}


@pytest.mark.parametrize("settings", list(_published()), ids=lambda s: "-".join(str(v)[:12] for v in list(s.values())))
def test_published_benzene_settings_can_be_written_and_their_networks_built(tmp_path, settings):
    config = _read(tmp_path, **settings)
    network = build_network(config.network.kind, config.network.model_dump(), 1)
    assert network.embedding.weight.shape == (1, settings["n_features"])
    assert network.inter_blocks[0].conv.lin1.weight.shape == (settings["n_filters"], settings["n_features"])
    assert len(network.inter_blocks) == settings["n_inter_blocks"]
    assert len(network.intra_blocks) == settings["n_intra_blocks"]
    assert network.inter_basis.offset.shape == (settings["n_basis"],)
    assert config.priors.repulsion.sigma == pytest.approx(settings["sigma"] / 10)
    assert config.priors.repulsion.epsilon == pytest.approx(4.184)
    assert config.network.cutoff == pytest.approx(settings["cutoff"] / 10)
    assert config.training.energy_weight == settings["energy_weight"]
    if settings["name"] == "benzene-3bead":
        assert config.priors.bonds.stiffness == pytest.approx(418_400)  # [kJ/mol/nm^2]; the convention doubles it


def test_command_line_values_replace_those_of_the_file(tmp_path):
    (tmp_path / "fit.yaml").write_text("name: x\ndata: {n_blocks: 9}\npriors: {}\nnetwork: {cutoff: 8 angstrom}\n")
    config = read_fit_config(tmp_path / "fit.yaml", data={"datasets": (tmp_path,)}, training={"seed": 4})
    assert config.data.datasets == (tmp_path,)
    assert (config.data.n_blocks, config.training.seed) == (9, 4)
    with pytest.raises(InputError, match=r"data.datasets.*missing"):
        read_fit_config(tmp_path / "fit.yaml")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("learning_rat: 0.1", r"learning_rat \(line 6\): unknown key; did you mean 'learning_rate'"),
        ("learning_rate: fast", r"learning_rate \(line 6\)"),
        ("learning_rate: -1", r"learning_rate \(line 6\).*greater than 0"),
        ("energy_weight: 1e400", r"energy_weight \(line 6\).*finite"),
        ("schedule: sawtooth", r"schedule \(line 6\).*one_cycle"),
    ],
)
def test_mistakes_are_named_with_their_line(tmp_path, line, message):
    text = f"name: x\ndata: {{datasets: d}}\npriors: {{}}\nnetwork: {{cutoff: 8 angstrom}}\ntraining:\n  {line}\n"
    (tmp_path / "fit.yaml").write_text(text)
    with pytest.raises(InputError, match=message):
        read_fit_config(tmp_path / "fit.yaml")


def test_what_must_not_change_on_resuming_is_told_apart_from_what_may():
    def config(**training):
        return FitConfig(
            name="x", data={"datasets": "d"}, priors={}, network={"cutoff": 0.8}, training=TrainingConfig(**training)
        )

    base = config().identity()
    assert config(threads=2, checkpoint_interval=7, device="auto").identity() == base
    for changed in ({"seed": 1}, {"batch_size": 8}, {"epochs": 99}, {"energy_weight": 0.1}, {"target": "split"}):
        different = {key for key, value in config(**changed).identity().items() if value != base[key]}
        assert different == {f"training.{next(iter(changed))}"}
