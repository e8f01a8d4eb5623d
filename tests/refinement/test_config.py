import pytest

from openmm_cgml.errors import InputError
from openmm_cgml.refinement import (
    BondedRefinementConfig,
    NetworkRefinementConfig,
    PairRefinementConfig,
    read_refinement_config,
)
from openmm_cgml.refinement.config import CONFIGS, config_of
from openmm_cgml.shipped import find_system


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "refine.yaml").write_text(text)
        return tmp_path / "refine.yaml"

    return write


def test_the_target_says_which_settings_there_are(written):
    config = read_refinement_config(written("target: bonded\nstep_size: 0.5\nduration: 20 ps\n"))
    assert isinstance(config, BondedRefinementConfig)
    assert (config.step_size, config.duration) == (0.5, 20.0)
    with pytest.raises(InputError, match=r"step_size.*unknown key"):
        read_refinement_config(written("target: network\nstep_size: 0.5\n"))


@pytest.mark.parametrize("config", [BondedRefinementConfig, PairRefinementConfig])
def test_steps_shrink_in_the_last_third(config):
    settings = config(rounds=9, step_size=0.6)
    assert [settings.share(number) for number in range(9)] == pytest.approx([0.6] * 7 + [0.3, 0.2])


def test_a_file_without_a_target_is_refused_unless_one_is_given(written):
    path = written("rounds: 3\n")
    with pytest.raises(
        InputError,
        match="target is missing; add one of target: bonded, target: pair, target: priors, target: pressure, target: network",
    ):
        read_refinement_config(path)
    assert isinstance(read_refinement_config(path, "network"), NetworkRefinementConfig)
    with pytest.raises(InputError, match="target is 'bonded', but 'network' was asked for"):
        read_refinement_config(written("target: bonded\n"), "network")


@pytest.mark.parametrize("name", ["bond", "", "Network"])
def test_an_unknown_target_is_refused(name, written):
    with pytest.raises(InputError, match="it must be one of bonded, pair, priors, pressure, network"):
        config_of(name)
    with pytest.raises(InputError, match="it must be one of bonded, pair, priors, pressure, network"):
        read_refinement_config(written(f"target: '{name}'\n"))


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_every_target_has_defaults(name):
    assert config_of(name).target == name


@pytest.mark.parametrize("system", ["benzene-1bead", "pim-1", "polyethylene-1bead"])
def test_shipped_settings_are_readable(system):
    assert read_refinement_config(find_system(system) / "refine.yaml").rounds > 0
