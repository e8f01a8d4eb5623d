"""One network in three packages: SchNetPack (the reference, which also makes the weights), TorchMD-Net, and ours.

Weights are drawn in SchNetPack and copied across. SchNetPack's energies are in kJ/mol here and its lengths in
angstrom; the Gaussians and the cosine cutoff scale with the cutoff, so the same weights fit lengths in nm.
SchNetPack's readout has an activation of its own, SiLU by default; it is given the shifted softplus of the other
layers, which costs the same and is what the other two packages use everywhere.
"""

from __future__ import annotations

import sys
import typing
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ase
import ase.md.langevin
import ase.units
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.speed_systems import BENZENE, NetworkSize, Playback, Workload, most_neighbors
from openmm_cgml.force_field import ForceField, Manifest
from openmm_cgml.networks import SchNet, SchNetConfig
from openmm_cgml.priors import PriorSet, PriorTerm

ANGSTROM = 10.0
"""Angstrom in a nanometer."""
KJ_MOL = ase.units.kJ / ase.units.mol
"""One kJ/mol in ASE's electron volts."""
RMS_FORCE = 50.0
"""Root mean square force of the random networks [kJ/mol/nm], a third of that in liquid benzene."""
SKIN = 1.0
"""Skin of SchNetPack's `SkinNeighborList` [angstrom], that of ours."""

Evaluation = tuple[float, NDArray[np.float64]]


def import_schnetpack(fork: Path | None = None) -> Any:
    """SchNetPack, or the fork of it in a folder, on torch versions that no longer have a name it imports.

    Args:
        fork: Folder that holds the fork's `schnetpack` package (or `src/schnetpack`).
    """
    import torch.utils.data.dataloader as dataloader

    if not hasattr(dataloader, "T_co"):  # SchNetPack 2.1 imports this name for annotations
        dataloader.T_co = typing.TypeVar("T_co", covariant=True)  # type: ignore[attr-defined]
    if fork is not None:
        folder = fork / "src" if (fork / "src" / "schnetpack").is_dir() else fork
        if not (folder / "schnetpack").is_dir():
            raise FileNotFoundError(f"no package schnetpack in {fork} or {fork / 'src'}; give the fork's checkout")
        sys.path.insert(0, str(folder))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import schnetpack
        import schnetpack.interfaces.ase_interface
    return schnetpack


def create_reference(spk: Any, size: NetworkSize, seed: int = 1) -> nn.Module:
    """A SchNetPack network with random weights and biases, in float64."""
    activation = spk.nn.shifted_softplus
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        representation = spk.representation.SchNet(
            n_atom_basis=size.features,
            n_interactions=size.blocks,
            radial_basis=spk.nn.GaussianRBF(n_rbf=size.gaussians, cutoff=size.cutoff * ANGSTROM),
            cutoff_fn=spk.nn.CosineCutoff(size.cutoff * ANGSTROM),
            n_filters=size.filters,
            activation=activation,
        )
        readout = spk.atomistic.Atomwise(n_in=size.features, activation=activation, output_key="energy")
        model = spk.model.NeuralNetworkPotential(
            representation=representation,
            input_modules=[spk.atomistic.PairwiseDistances()],
            output_modules=[readout, spk.atomistic.Forces(energy_key="energy", force_key="forces")],
        )
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if name.endswith("bias"):
                    parameter.normal_(std=0.1)
    return model.to(torch.float64).eval().requires_grad_(False)


def scale_forces(model: nn.Module, factor: float) -> None:
    """Multiply energies and forces of a SchNetPack network by `factor`."""
    last = model.output_modules[0].outnet[-1]
    with torch.no_grad():
        last.weight.mul_(factor)
        last.bias.mul_(factor)


def copy_to_ours(model: nn.Module, size: NetworkSize) -> SchNet:
    """The network in our package, in float32."""
    config = SchNetConfig(
        n_features=size.features,
        n_filters=size.filters,
        n_inter_blocks=size.blocks,
        n_basis=size.gaussians,
        cutoff=size.cutoff,
        activation="shifted_softplus",
    )
    network = SchNet(config, 1).to(torch.float64)
    network.embedding.weight.data.copy_(model.representation.embedding.weight[1:2])
    _copy_blocks(model, network.inter_blocks)
    for layer, source in zip((network.readout[0], network.readout[2]), model.output_modules[0].outnet, strict=True):
        _copy_layer(layer, source)
    return network.to(torch.float32).eval().requires_grad_(False)


def copy_to_torchmdnet(model: nn.Module, size: NetworkSize, max_neighbors: int) -> nn.Module:
    """The network as TorchMD-Net's graph network, lengths in angstrom, in float32.

    Args:
        model: The reference.
        size: Its size.
        max_neighbors: The most neighbors that its neighbor list has room for.
    """
    from torchmdnet.models.model import TorchMD_Net
    from torchmdnet.models.output_modules import Scalar
    from torchmdnet.models.torchmd_gn import TorchMD_GN

    representation = TorchMD_GN(
        hidden_channels=size.features,
        num_filters=size.filters,
        num_layers=size.blocks,
        num_rbf=size.gaussians,
        rbf_type="gauss",
        trainable_rbf=False,
        activation="ssp",
        neighbor_embedding=False,
        cutoff_upper=size.cutoff * ANGSTROM,
        max_z=2,
        max_num_neighbors=max_neighbors,
        aggr="add",
    )
    network = TorchMD_Net(representation, Scalar(size.features, activation="ssp"), derivative=True).to(torch.float64)
    representation.embedding.weight.data.copy_(model.representation.embedding.weight[:2])
    _copy_blocks(model, representation.interactions)
    layers = network.output_model.output_network.layers
    for layer, source in zip((layers[0], layers[-1]), model.output_modules[0].outnet, strict=True):
        _copy_layer(layer, source)
    return network.to(torch.float32).eval().requires_grad_(False)


def _copy_blocks(model: nn.Module, blocks: Any) -> None:
    for block, source in zip(blocks, model.representation.interactions, strict=True):
        block.conv.lin1.weight.data.copy_(source.in2f.weight)
        _copy_layer(block.conv.lin2, source.f2out[0])
        _copy_layer(block.lin, source.f2out[1])
        _copy_layer(block.conv.net[0], source.filter_network[0])
        _copy_layer(block.conv.net[2], source.filter_network[1])


def _copy_layer(layer: Any, source: Any) -> None:
    layer.weight.data.copy_(source.weight)
    layer.bias.data.copy_(source.bias)


class TorchMDNetForces(nn.Module):
    """TorchMD-Net's network as TorchForce calls it: positions and box in nm, energy and forces in kJ/mol and nm."""

    def __init__(self, network: nn.Module, n_beads: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("types", torch.ones(n_beads, dtype=torch.int64))
        self.register_buffer("batch", torch.zeros(n_beads, dtype=torch.int64))

    def forward(self, positions: Tensor, box: Tensor | None = None) -> tuple[Tensor, Tensor]:
        x = (positions.detach() * 10.0).to(torch.float32)
        cell = (box * 10.0).to(torch.float32) if box is not None else None
        energy, forces = self.network(self.types, x, self.batch, cell)
        return energy.sum().detach(), (forces * 10.0).detach().to(positions.dtype)


def schnetpack_calculator(spk: Any, model: nn.Module, size: NetworkSize, neighbors: str, dtype: torch.dtype) -> Any:
    """SchNetPack's ASE calculator.

    Args:
        spk: The package.
        model: The reference; a copy of it is used.
        size: Its size.
        neighbors: "ASE", "matscipy", or "matscipy, skin" for the list that is kept while beads move little.
        dtype: Precision.
    """
    import copy

    class Calculator(spk.interfaces.SpkCalculator):
        def _load_model(self, model_file: Any) -> nn.Module:
            return model_file  # the network itself: no file is needed

    kinds = {"ASE": spk.transform.ASENeighborList, "matscipy": spk.transform.MatScipyNeighborList}
    built = kinds[neighbors.split(",")[0]](cutoff=size.cutoff * ANGSTROM)
    if neighbors.endswith("skin"):
        built = spk.transform.SkinNeighborList(built, cutoff_skin=SKIN)
    return Calculator(
        copy.deepcopy(model),
        built,
        energy_key="energy",
        force_key="forces",
        energy_unit="kJ/mol",
        position_unit="Angstrom",
        dtype=dtype,
    )


def ase_atoms(workload: Workload, calculator: Any) -> ase.Atoms:
    """The beads as ASE atoms of element number 1 with the beads' masses."""
    atoms = ase.Atoms(
        numbers=np.ones(workload.n_beads, dtype=int),
        positions=workload.frames[0] * ANGSTROM,
        cell=workload.box * ANGSTROM,
        pbc=True,
        masses=np.full(workload.n_beads, workload.template.masses[0]),
    )
    atoms.calc = calculator
    return atoms


def ase_evaluation(atoms: ase.Atoms) -> Callable[[NDArray[np.float64]], Evaluation]:
    """Energy [kJ/mol] and forces [kJ/mol/nm] at positions [nm], through ASE."""

    def evaluate(positions: NDArray[np.float64]) -> Evaluation:
        atoms.positions = positions * ANGSTROM
        # Both in one pass; asking ASE for one after the other makes SchNetPack's calculator evaluate the network twice.
        atoms.calc.calculate(atoms, ["energy", "forces"])
        results = atoms.calc.results
        return float(results["energy"]) / KJ_MOL, np.asarray(results["forces"], np.float64) * ANGSTROM / KJ_MOL

    return evaluate


@dataclass(frozen=True, eq=False, kw_only=True)
class Networks:
    """One network, for one workload, in the packages that are compared."""

    spk: Any
    workload: Workload
    reference: nn.Module

    def force_field(self, *, priors: bool) -> ForceField:
        """Our force field of the network, with a soft pair repulsion or without priors."""
        return ForceField(
            priors=_repulsion(self.workload) if priors else PriorSet(terms=(), exclude_bonds=1),
            network=copy_to_ours(self.reference, self.workload.size),
            templates=(self.workload.template,),
            type_names=self.workload.template.bead_type_names,
            manifest=Manifest(name="speed", description="Random weights, for benchmarks."),
        )

    def torchmdnet(self) -> nn.Module:
        """TorchMD-Net's network, ready for a TorchForce."""
        room = 8 * (int(1.25 * most_neighbors(self.workload)) // 8 + 1)
        network = copy_to_torchmdnet(self.reference, self.workload.size, room)
        return TorchMDNetForces(network, self.workload.n_beads).eval()

    def calculator(self, neighbors: str, dtype: torch.dtype = torch.float32) -> Any:
        """SchNetPack's calculator."""
        return schnetpack_calculator(self.spk, self.reference, self.workload.size, neighbors, dtype)

    def exact(self, positions: NDArray[np.float64]) -> Evaluation:
        """Energy and forces of the reference in float64, at positions of the workload's box [nm]."""
        atoms = ase_atoms(self.workload, self.calculator("matscipy", torch.float64))
        return ase_evaluation(atoms)(positions)


def create_networks(spk: Any, workload: Workload, seed: int = 1) -> Networks:
    """A random network whose forces on the first frame have the root mean square `RMS_FORCE`."""
    networks = Networks(spk=spk, workload=workload, reference=create_reference(spk, workload.size, seed))
    forces = networks.exact(workload.frames[0])[1]
    scale_forces(networks.reference, RMS_FORCE / float(np.sqrt((forces**2).mean())))
    return networks


def ase_playback(networks: Networks, neighbors: str) -> Callable[[], Evaluation]:
    """Evaluates SchNetPack's calculator on one frame after the other."""
    evaluate = ase_evaluation(ase_atoms(networks.workload, networks.calculator(neighbors)))
    frames = Playback(networks.workload)
    return lambda: evaluate(frames())


def ase_langevin(networks: Networks, neighbors: str) -> tuple[Callable[[], None], Callable[[], None]]:
    """One step of ASE's Langevin dynamics, and what sets positions and velocities back to the start."""
    workload = networks.workload
    atoms = ase_atoms(workload, networks.calculator(neighbors))
    rng = np.random.default_rng(1)
    femtosecond = ase.units.fs
    dynamics = ase.md.langevin.Langevin(
        atoms,
        timestep=1000 * workload.time_step * femtosecond,
        temperature_K=300.0,
        friction=0.001 / femtosecond,
        fixcm=False,
        rng=np.random.RandomState(1),
    )

    def reset() -> None:
        atoms.positions = workload.frames[0] * ANGSTROM
        scale = np.sqrt(300.0 * ase.units.kB * atoms.get_masses())[:, None]
        atoms.set_momenta(scale * rng.normal(size=(workload.n_beads, 3)))
        atoms.get_forces()  # a run begins with them; a step of a longer run finds those of the step before

    return lambda: dynamics.run(1), reset


def _repulsion(workload: Workload) -> PriorSet:
    """A pair prior that keeps the beads about as far apart as they start."""
    kind = workload.template.bead_type_names[0]
    sigma, cutoff = (0.46, 0.7) if kind == BENZENE.bead_type_names[0] else (0.18, 0.4)
    parameters = {"sigma": sigma, "epsilon": 4.184, "exponent": 12, "cutoff": cutoff, "switch_distance": 0.9 * cutoff}
    return PriorSet(
        terms=(PriorTerm(form="power_repulsion", types=(kind, kind), parameters=parameters),), exclude_bonds=1
    )
