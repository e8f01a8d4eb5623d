"""`ForceField`: priors, network and what is known about them, on disk and as OpenMM Systems."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import safetensors.numpy
from numpy.typing import NDArray
from openmm import app, unit

import openmm_cgml
from openmm_cgml.engine import (
    DeployedNetwork,
    DeployedPairs,
    DeployedSites,
    DeployedThreeBody,
    choose_pair_backend,
    deploy_sites,
)
from openmm_cgml.engine.pair_tables import PairTable, tabulate_pairs
from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.force_field.artifact import CARD, MANIFEST, find_force_field, read_folder, write_folder
from openmm_cgml.force_field.manifest import (
    ARCHITECTURES,
    CHAINS,
    Manifest,
    TrainingSummary,
    read_manifest,
    write_document,
)
from openmm_cgml.force_field.model_card import write_model_card
from openmm_cgml.force_field.network_files import copy_in_float64, read_network, read_tensors, write_network
from openmm_cgml.force_field.self_test import network_range, one_of_each, record_self_test, verify_self_test
from openmm_cgml.networks import SchNet, dimer_energy
from openmm_cgml.potentials import NO_NATIVE_FORCE, Potential
from openmm_cgml.priors import PriorSet, RepulsionScan, scan_repulsion
from openmm_cgml.residues import LinkRules
from openmm_cgml.system import (
    TimeStep,
    add_forces,
    box_vectors,
    check_box,
    create_forces,
    cutoffs_of,
    pair_potentials_of,
    site_potentials_of,
    suggest_time_step,
    three_body_potentials_of,
)
from openmm_cgml.topology import CGTopology, ChainTemplate, MoleculeTemplate, ResidueTemplate
from openmm_cgml.versions import versions_of

_log = logging.getLogger(__name__)
_MASS_TOLERANCE = 1e-3  # relative; files round masses


@dataclass(frozen=True, eq=False, kw_only=True)
class ForceField:
    """Native priors and a network over the beads of known residues.

    Attributes:
        priors: The analytic part.
        network: The learned part, or None for priors alone.
        templates: Residues it was trained on, which are those it can be used for.
        type_names: Bead types, in the order of the network's embedding.
        chains: Polymers made of the residues; residues of none are molecules of their own.
        architectures: The kinds of molecules in the data, where it holds others than chains: rings, stars, networks.
        manifest: Name, origin and validation.

    Raises:
        InputError: If templates and types do not fit each other or the network.
    """

    priors: PriorSet
    network: SchNet | None
    templates: tuple[ResidueTemplate, ...]
    type_names: tuple[str, ...]
    manifest: Manifest
    chains: tuple[ChainTemplate, ...] = ()
    architectures: tuple[MoleculeTemplate, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "templates", tuple(self.templates))
        object.__setattr__(self, "type_names", tuple(self.type_names))
        object.__setattr__(self, "chains", tuple(self.chains))
        object.__setattr__(self, "architectures", tuple(self.architectures))
        names = [template.name for template in self.templates]
        if not names or len(set(names)) != len(names):
            raise InputError(f"residues are {names}; a force field needs at least one, each name once")
        CGTopology.from_residues([(template, 1) for template in self.templates], type_names=self.type_names)
        LinkRules(self.templates, self.chains, self.architectures)  # refuses chains of unknown or unlinked residues
        if self.network is not None and self.network.n_types != len(self.type_names):
            raise InputError(
                f"the network knows {self.network.n_types} bead types, but {len(self.type_names)} are named: "
                f"{', '.join(self.type_names)}"
            )

    @property
    def name(self) -> str:
        """Its name."""
        return self.manifest.name

    @property
    def training_summary(self) -> TrainingSummary | None:
        """The data and settings it was trained with, or None if not recorded."""
        return self.manifest.training

    @cached_property
    def bead_masses(self) -> dict[tuple[str, str], float]:
        """Mass [Da] that each (residue name, bead name) must have."""
        return {
            (template.name, bead): mass
            for template in self.templates
            for bead, mass in zip(template.bead_names, template.masses, strict=True)
        }

    @cached_property
    def cutoffs(self) -> dict[str, float]:
        """Cutoff [nm] of each part that has one; a box must be at least twice as wide as the longest."""
        potentials = self.priors.bind(self._one_of_each)
        return cutoffs_of(potentials, None if self.network is None else network_range(self.network))

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of what decides about energies and forces: priors, network and residues."""
        digest = hashlib.sha256()
        for name, data in sorted({**self._function_files(), "residues": _json(self._residues())}.items()):
            digest.update(f"{name} {hashlib.sha256(data).hexdigest()}\n".encode())
        return digest.hexdigest()

    def create_system(
        self,
        topology: app.Topology | CGTopology,
        *,
        ml_backend: str = "auto",
        exact: bool = False,
        box: Any = None,
        remove_cm_motion: bool = False,
        replicas: int = 1,
        pair_backend: str | None = None,
        platform: str | None = None,
    ) -> openmm.System:
        """An OpenMM System with the bead masses, the periodic box, a native force per prior and one ML force.

        Every force has a name and a force group of its own, from 1 on. There are no constraints.

        With replicas, the System holds so many independent copies of the beads, one after the other in the same box
        (`bead_topology(topology).repeated(replicas)` is their topology): the network is called once for all of them,
        and beads of different copies do not see each other. The ML force then includes the excluded volume, which
        no native force can keep apart. All copies share one box, so barostats make no sense, and the energy of a State
        is that of all copies.

        Args:
            topology: The beads of one copy; residues and beads are recognized by name, elements are not looked at.
            ml_backend: "TorchForce", "PythonForce", or "auto" for the first of these that works here.
            exact: Evaluate the network itself, in its own precision, instead of tables of its filters; slower, for
                comparisons.
            box: Edges (3,) or reduced vectors (3, 3) [nm] of the periodic box; by default the topology's own.
            remove_cm_motion: Add a `CMMotionRemover`.
            replicas: Number of copies.
            pair_backend: What evaluates the priors between all pairs of beads: "native" for OpenMM forces of their own,
                "engine" for the ML force, which does it from tables on its own neighbor list (a `PythonForce` where
                there is no network), or "auto" for what is faster on the platform: the engine on the CPU platform.
                With replicas, a network takes them along in any case. By default they are native; priors between
                sites and three-body priors, which have no native force, are evaluated by the engine.
            platform: Name of the OpenMM platform that the System is for, by which "auto" chooses; by default the
                fastest there is, which is what OpenMM takes.

        Raises:
            InputError: If the topology holds something unknown to the force field, or the box is missing or too small,
                or a `CMMotionRemover` is asked for with replicas, or native forces for priors between sites.
        """
        if remove_cm_motion and replicas > 1:
            raise InputError(
                f"a CMMotionRemover stops the center of mass of all {replicas} replicas together, not of each; leave "
                "out remove_cm_motion, and remove the drift of each replica from the starting velocities"
            )
        beads = self.bead_topology(topology).repeated(replicas)
        vectors = self._box_of(topology, box)
        check_box(vectors, self.cutoffs)
        in_engine = self._evaluates_pairs_in_engine(pair_backend, platform, replicas)
        forces = self._forces(beads, ml_backend, exact, replicas, in_engine)
        system = openmm.System()
        for mass in beads.masses.tolist():
            system.addParticle(mass)
        assert vectors is not None  # check_box refuses None
        system.setDefaultPeriodicBoxVectors(*(openmm.Vec3(*row) for row in vectors.tolist()))
        add_forces(system, forces)
        if remove_cm_motion:
            system.addForce(openmm.CMMotionRemover())
        return system

    def add_forces(
        self,
        system: openmm.System,
        topology: app.Topology | CGTopology,
        *,
        ml_backend: str = "auto",
        exact: bool = False,
        force_group: int | None = None,
        replicas: int = 1,
        pair_backend: str | None = None,
        platform: str | None = None,
    ) -> None:
        """Add the forces of this force field to a System that may hold others, and leave everything else as it is.

        Args:
            system: A System with one particle per bead of each replica, in the topology's order, and the periodic box
                set.
            topology: The beads of one replica.
            ml_backend: As in `create_system`.
            exact: As in `create_system`.
            force_group: Group of all the forces; by default each gets a free one above 0.
            replicas: As in `create_system`.
            pair_backend: As in `create_system`.
            platform: As in `create_system`.

        Raises:
            InputError: As `create_system`, and if the particles of the System are not the beads.
        """
        beads = self.bead_topology(topology).repeated(replicas)
        if system.getNumParticles() != beads.n_beads:
            copies = "" if replicas == 1 else f" in {replicas} replicas"
            raise InputError(
                f"the System has {system.getNumParticles()} particles and the topology {beads.n_beads} beads{copies}; "
                "they must be the same"
            )
        masses = np.array([system.getParticleMass(i).value_in_unit(unit.dalton) for i in range(beads.n_beads)])
        self._check_masses(beads, np.where(masses == 0, beads.masses, masses), "the System")
        check_box(box_vectors(system.getDefaultPeriodicBoxVectors()), self.cutoffs)
        in_engine = self._evaluates_pairs_in_engine(pair_backend, platform, replicas)
        add_forces(system, self._forces(beads, ml_backend, exact, replicas, in_engine), force_group=force_group)

    def bead_topology(self, topology: app.Topology | CGTopology) -> CGTopology:
        """The topology in this force field's bead types, checked against its residues.

        Raises:
            InputError: If bead types, residues, beads, bonds or masses differ from those trained on; the message
                names them, with indices, and what is known.
        """
        if not isinstance(topology, CGTopology):
            return CGTopology.from_openmm(topology, self.templates, self.type_names, self.chains, self.architectures)
        used = np.unique(topology.bead_types).tolist()
        unknown = [t for t in used if topology.type_names[t] not in self.type_names]
        if unknown:
            beads = np.flatnonzero(np.isin(topology.bead_types, unknown))
            names = ", ".join(repr(topology.type_names[t]) for t in unknown)
            raise InputError(
                f"unknown bead type {names} (beads {_first(beads.tolist())}); force field {self.name!r} knows "
                f"{', '.join(self.type_names)}"
            )
        known = topology.recognized(self.templates, self.type_names, self.chains, self.architectures)
        given = [topology.type_names[t] for t in topology.bead_types.tolist()]
        wanted = [self.type_names[t] for t in known.bead_types.tolist()]
        differing = [i for i, pair in enumerate(zip(given, wanted, strict=True)) if pair[0] != pair[1]]
        if differing:
            i = differing[0]
            raise InputError(
                f"beads {_first(differing)}: bead {topology.bead_names[i]!r} of residue "
                f"{topology.residue_names[topology.residues[i]]!r} has type {given[i]!r}; trained was {wanted[i]!r}"
            )
        self._check_masses(known, topology.masses, "the topology")
        return replace(known, molecules=topology.molecules)

    def bind(self, topology: app.Topology | CGTopology) -> tuple[Potential, ...]:
        """The priors bound to the beads of a topology."""
        return tuple(self.priors.bind(self.bead_topology(topology)))

    def deploy(self, topology: app.Topology | CGTopology) -> DeployedNetwork | None:
        """The network bound to the beads of a topology, or None without a network."""
        return self._deploy(self.bead_topology(topology))

    def deploy_pairs(
        self, topology: app.Topology | CGTopology
    ) -> DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody | None:
        """What the ML force evaluates where it takes the pair priors; None if there are none.

        That is the network with the tables of the pair priors, or without a network the tables alone; with priors
        between sites these, and the network if there is one; three-body priors with all of that.
        """
        beads = self.bead_topology(topology)
        return self._deploy_with_pairs(beads, 1, self.priors.bind(beads))

    def suggest_time_step(
        self, topology: app.Topology | CGTopology, *, temperature: float | None = None
    ) -> TimeStep | None:
        """The time step that the stiffest prior allows, or None without priors.

        Args:
            topology: The beads.
            temperature: Temperature of the simulation [K]; by default that of the training data, else 300.
        """
        beads = self.bead_topology(topology)
        if temperature is None:
            temperature = self.manifest.training.temperature if self.manifest.training else 300.0
        return suggest_time_step(self.priors.bind(beads), beads.masses, temperature=temperature)

    def pair_energy(self, type_a: str, type_b: str, distance: NDArray[np.floating]) -> NDArray[np.float64]:
        """Energy [kJ/mol] of two otherwise lonely beads of different molecules, shape (n,): priors and network.

        Where the priors act between sites the energy of two beads depends on how their molecules are turned.

        Args:
            type_a: Bead type of one bead.
            type_b: Bead type of the other.
            distance: Distances [nm], shape (n,).

        Raises:
            InputError: If a bead type is unknown, or the priors act between sites.
        """
        if self.priors.sites:
            raise InputError(
                f"the pair priors of {self.name!r} act between sites, so two beads have no energy that depends on "
                "their distance alone; `priors.pair_energy` gives that of two sites"
            )
        unknown = [name for name in (type_a, type_b) if name not in self.type_names]
        if unknown:
            raise InputError(f"bead type {unknown[0]!r} is unknown; known are {', '.join(self.type_names)}")
        energy = self.priors.pair_energy(type_a, type_b, distance)
        if self.network is None:
            return energy
        first, second = self.type_names.index(type_a), self.type_names.index(type_b)
        return energy + dimer_energy(self.network, first, second, distance)

    def scan_short_range(self) -> tuple[RepulsionScan, ...]:
        """Whether every pair of bead types repels all the way in from its closest approach in the training data.

        Empty if the training data's closest approaches are not recorded, or the priors act between sites.
        """
        if self.priors.sites:
            return ()
        known = self.manifest.training.closest_approach if self.manifest.training else {}
        closest: dict[tuple[str, ...], float] = {}
        for a, b in itertools.combinations_with_replacement(self.type_names, 2):
            found = known.get(f"{a}-{b}", known.get(f"{b}-{a}"))
            if found:
                closest[(a, b)] = found
        return scan_repulsion(self.pair_energy, closest)

    def save(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the force field as a folder: JSON, safetensors, a model card and a self-test; no code.

        The folder appears whole or not at all.

        Args:
            path: The folder to make.
            overwrite: Replace the force field that is there.

        Raises:
            OutputExistsError: If the folder is there and `overwrite` is not set.
            InputError: If the network has weights that are not finite.
        """
        path = Path(path)
        files = self._function_files()
        network = None if self.network is None else copy_in_float64(self.network)
        edge = 2 * max(self.cutoffs.values(), default=0.0)
        record = record_self_test(
            self.priors, network, self.templates, self.type_names, self.chains, edge, self.architectures
        )
        files["selftest.safetensors"] = safetensors.numpy.save(record)
        manifest = self.manifest.model_copy(
            update={"provenance": {**self.manifest.provenance, "saved_with": _versions()}}
        )
        content = {**self._residues(), "fingerprint": self.fingerprint}
        features = [CHAINS] * bool(self.chains) + [ARCHITECTURES] * bool(self.architectures)
        document = write_document(manifest, content, files, features=features)
        write_folder(path, {**files, CARD: self._card(manifest).encode(), MANIFEST: document}, overwrite=overwrite)
        return path

    @classmethod
    def load(cls, name_or_path: str | os.PathLike[str]) -> ForceField:
        """The force field in a folder, or the shipped one of that name, after every check it must pass.

        Args:
            name_or_path: Name of a shipped model (`openmm-cgml list` shows them), or path of a force field's folder or
                of the output folder of a fit or a refinement.

        Raises:
            InputError: If there is no such force field.
            ArtifactError: If it is damaged, of a newer format, no force field at all, or does not reproduce its
                self-test.
        """
        path = find_force_field(name_or_path)
        document, files = read_folder(path)
        force_field = cls._from_content(document, files, path)
        if document.get("fingerprint") != force_field.fingerprint:
            raise ArtifactError(f"{path / MANIFEST}: its residues or fingerprint were edited; restore the original")
        network = None if force_field.network is None else copy_in_float64(force_field.network)
        name = path / "selftest.safetensors"
        if name.name not in files:
            raise ArtifactError(f"{path}: {name.name} is missing; restore it from the original")
        record = read_tensors(safetensors.numpy.load, files[name.name], name)
        verify_self_test(
            record,
            force_field.priors,
            network,
            force_field.templates,
            force_field.type_names,
            force_field.chains,
            force_field.architectures,
            name=str(name),
        )
        _log.info("force field %s loaded from %s: digests and self-test agree", force_field.name, path)
        return force_field

    @classmethod
    def _from_content(cls, document: Mapping[str, Any], files: Mapping[str, bytes], path: Path) -> ForceField:
        name = str(path / MANIFEST)
        manifest = read_manifest(document, name=name)
        try:
            templates = tuple(ResidueTemplate.from_dict(content) for content in document["residues"])
            type_names = tuple(map(str, document["bead_types"]))
            chains = tuple(ChainTemplate.from_dict(content) for content in document.get("chains", ()))
            architectures = tuple(
                MoleculeTemplate.from_dict(content, templates) for content in document.get("architectures", ())
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"{name}: residues, chains or bead types are damaged ({error}); restore it") from error
        if "priors.json" not in files:
            raise ArtifactError(f"{path}: priors.json is missing; restore it from the original")
        try:
            priors = PriorSet.from_json(files["priors.json"], name=str(path / "priors.json"))
            network = read_network(files, len(type_names), path)
            return cls(
                priors=priors,
                network=network,
                templates=templates,
                type_names=type_names,
                manifest=manifest,
                chains=chains,
                architectures=architectures,
            )
        except InputError as error:
            raise ArtifactError(f"{path}: {error}") from error

    @cached_property
    def _one_of_each(self) -> CGTopology:
        molecules = one_of_each(self.templates, self.chains, self.architectures)
        return CGTopology.from_molecules([(molecule, 1) for molecule in molecules], type_names=self.type_names)

    def _deploy(
        self, beads: CGTopology, replicas: int = 1, pair_table: PairTable | None = None
    ) -> DeployedNetwork | None:
        if self.network is None:
            return None
        return DeployedNetwork(
            self.network,
            beads,
            exclude_bonds=self.priors.exclude_bonds,
            n_replicas=replicas,
            pair_table=pair_table,
        )

    def _forces(
        self, beads: CGTopology, ml_backend: str, exact: bool, replicas: int, pairs_in_engine: bool
    ) -> list[openmm.Force]:
        priors = self.priors.bind(beads)
        deployed: DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody | None
        if pairs_in_engine:
            deployed = self._deploy_with_pairs(beads, replicas, priors)
        else:
            deployed = self._with_three_body(self._deploy(beads, replicas), None, replicas, priors)
        return create_forces(
            priors,
            deployed,
            ml_backend=ml_backend,
            exact=exact,
            n_replicas=replicas,
            bonded_in_engine=pairs_in_engine,
        )

    def _with_three_body(
        self,
        network: DeployedNetwork | None,
        table: PairTable | None,
        replicas: int,
        priors: Sequence[Potential],
    ) -> DeployedNetwork | DeployedThreeBody | None:
        """The network, with the three-body priors if there are some."""
        of_three = three_body_potentials_of(priors)
        if not of_three:
            return network
        return DeployedThreeBody(three_body=of_three[0], pair_table=table, network=network, n_replicas=replicas)

    def _deploy_with_pairs(
        self, beads: CGTopology, replicas: int, priors: Sequence[Potential]
    ) -> DeployedNetwork | DeployedPairs | DeployedSites | DeployedThreeBody | None:
        of_sites = site_potentials_of(priors)
        if of_sites:
            return deploy_sites(of_sites, self._deploy(beads, replicas), replicas)
        table = tabulate_pairs(pair_potentials_of(priors))
        if three_body_potentials_of(priors):
            return self._with_three_body(self._deploy(beads, replicas), table, replicas, priors)
        if self.network is None and table is not None:
            return DeployedPairs(pair_table=table, n_replicas=replicas)
        return self._deploy(beads, replicas, table)

    def _evaluates_pairs_in_engine(self, pair_backend: str | None, platform: str | None, replicas: int) -> bool:
        has_network = self.network is not None
        if self.priors.sites:
            if pair_backend == "native":
                raise InputError(f"force field {self.name!r}: {NO_NATIVE_FORCE}")
            return True
        choice = choose_pair_backend(pair_backend or "native", platform=platform, has_network=has_network)
        # OpenMM cannot keep the pair priors of replicas apart without giving up its neighbor list; the engine can.
        return choice.name == "engine" or (has_network and replicas > 1)

    def _box_of(self, topology: app.Topology | CGTopology, box: Any) -> NDArray[np.float64] | None:
        if box is None and not isinstance(topology, CGTopology):
            box = topology.getPeriodicBoxVectors()
        return box_vectors(box)

    def _check_masses(self, beads: CGTopology, masses: NDArray[np.float64], where: str) -> None:
        wrong = np.flatnonzero(np.abs(masses / beads.masses - 1) > _MASS_TOLERANCE)
        if len(wrong):
            i = int(wrong[0])
            raise InputError(
                f"{where} gives beads {_first(wrong.tolist())} other masses than the training data had: bead {i} "
                f"({beads.bead_names[i]!r}) {masses[i]:g} Da instead of {beads.masses[i]:g}; use the trained masses, "
                "and change them in the System afterwards if you mean to"
            )

    def _residues(self) -> dict[str, Any]:
        content = {"bead_types": list(self.type_names), "residues": [template.to_dict() for template in self.templates]}
        polymers = {"chains": [chain.to_dict() for chain in self.chains]} if self.chains else {}
        others = [molecule.to_dict() for molecule in self.architectures]
        return {**content, **polymers, **({"architectures": others} if others else {})}

    def _function_files(self) -> dict[str, bytes]:
        network = {} if self.network is None else write_network(self.network)
        # Vouched for by the manifest, and in the bytes that fingerprints are made of: without a seal of its own.
        priors = json.dumps(self.priors.to_dict(), indent=2, allow_nan=False) + "\n"
        return {"priors.json": priors.encode(), **network}

    def _network_settings(self) -> dict[str, Any] | None:
        return None if self.network is None else self.network.config.model_dump(mode="json")

    def _card(self, manifest: Manifest) -> str:
        lines = [
            f"{term.form.replace('_', ' ')} {'-'.join(term.types)}: {term.describe()}" for term in self.priors.terms
        ]
        lines += [f"{name}: {text}" for name, text in self.priors.describe_points().items()]
        time_step = self.suggest_time_step(self._one_of_each)
        text = "" if time_step is None else str(time_step)
        return write_model_card(
            manifest,
            self.templates,
            self._network_settings(),
            lines,
            text,
            self.chains,
            self.architectures,
            native=self.priors.is_native,
        )


def _versions() -> dict[str, str]:
    return {"openmm_cgml": openmm_cgml.__version__, **versions_of(("openmm", "torch"))}


def _json(content: Mapping[str, Any]) -> bytes:
    return (json.dumps(content, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()


def _first(numbers: Sequence[int], shown: int = 5) -> str:
    text = ", ".join(map(str, numbers[:shown]))
    return text if len(numbers) <= shown else f"{text}, ... ({len(numbers)} in all)"
