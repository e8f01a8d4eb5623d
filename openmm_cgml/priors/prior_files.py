"""The JSON content of prior sets, written with its units and read strictly."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from openmm_cgml.errors import ArtifactError, InputError
from openmm_cgml.potentials import CenterKind, PairPotential, SiteTemplate
from openmm_cgml.priors.term import PriorTerm

SCHEMA = "openmm-cgml/priors"
SCHEMA_VERSION = "1.6"


def describe_priors(
    terms: Sequence[PriorTerm],
    *,
    exclude_bonds: int,
    provenance: Mapping[str, Any],
    sites: Sequence[SiteTemplate],
    centers: CenterKind | None,
    alike: Mapping[str, str],
) -> dict[str, Any]:
    """Plain JSON content of what a `PriorSet` holds.

    Its version is the one that brought the newest of it, so that what older programs wrote is written unchanged.
    """
    return {
        "schema": SCHEMA,
        "version": max(["1.0", *(_since(term, terms, sites, centers, alike) for term in terms)]),
        "units": _units(terms, sites),
        "exclude_bonds": exclude_bonds,
        **({"sites": [template.to_dict() for template in sites]} if sites else {}),
        **({} if centers is None else {"centers": centers}),
        **({"alike": dict(alike)} if alike else {}),
        "terms": [term.to_dict() for term in terms],
        "provenance": dict(provenance),
    }


def _since(
    term: PriorTerm,
    terms: Sequence[PriorTerm],
    sites: Sequence[SiteTemplate],
    centers: CenterKind | None,
    alike: Mapping[str, str],
) -> str:
    """Version of the schema that brought what a term needs."""
    since = term.potential.since
    if not issubclass(term.potential, PairPotential):
        return since
    if centers is not None or alike:
        return max(since, "1.5")
    cutoffs = {other.parameters.get("cutoff") for other in terms if other.form == term.form}
    return max(since, "1.3") if sites or len(cutoffs) > 1 else since


def read_priors(content: Any, name: str) -> dict[str, Any]:
    """Fields of the `PriorSet` that `describe_priors` described.

    Args:
        content: Plain JSON content.
        name: What to call it in an error, usually its path.

    Raises:
        ArtifactError: If a key is missing, unknown or of the wrong kind, or a unit is not ours.
    """
    expected = {"schema", "version", "units", "exclude_bonds", "terms", "provenance"}
    optional: set[str] = set()
    if isinstance(content, dict):
        optional = {"sites", "centers", "alike"} & set(content)  # from 1.3, 1.5 on
    _check_keys(content, expected | optional, name)
    if content["schema"] != SCHEMA:
        raise ArtifactError(f"{name}: schema is {content['schema']!r}; expected {SCHEMA!r}")
    if str(content["version"]).split(".")[0] != SCHEMA_VERSION.split(".")[0]:
        raise ArtifactError(
            f"{name}: version is {content['version']!r}; this program reads {SCHEMA_VERSION}; upgrade openmm_cgml"
        )
    if not isinstance(content["exclude_bonds"], int) or not isinstance(content["provenance"], dict):
        raise ArtifactError(f"{name}: exclude_bonds must be an integer and provenance an object")
    if not isinstance(content["terms"], list):
        raise ArtifactError(f"{name}: terms is {type(content['terms']).__name__}; expected a list")
    terms = tuple(_read_term(term, f"{name}, term {index}") for index, term in enumerate(content["terms"]))
    sites = _read_sites(content["sites"], name) if "sites" in optional else ()
    centers = _read_centers(content["centers"], name) if "centers" in optional else None
    alike = _read_alike(content["alike"], name) if "alike" in optional else {}
    units = _units(terms, sites)
    if content["units"] != units:
        raise ArtifactError(f"{name}: units are {content['units']}; expected {units}")
    return {
        "terms": terms,
        "exclude_bonds": content["exclude_bonds"],
        "provenance": content["provenance"],
        "sites": sites,
        "centers": centers,
        "alike": alike,
    }


def _units(terms: Sequence[PriorTerm], sites: Sequence[SiteTemplate] = ()) -> dict[str, dict[str, str]]:
    """Unit of every parameter of the forms of terms, and of sites."""
    forms = {term.form: term.potential for term in terms}
    of_sites = {"sites": {"positions": "nm"}} if sites else {}
    return of_sites | {
        key: {n: parameter.unit for n, parameter in forms[key].parameters.items()} for key in sorted(forms)
    }


def _read_sites(content: Any, name: str) -> tuple[SiteTemplate, ...]:
    if not isinstance(content, list) or not content:
        raise ArtifactError(f"{name}: sites is {content!r}; expected a list of them, or no such key")
    return tuple(_read_template(each, f"{name}, sites {index}") for index, each in enumerate(content))


def _read_centers(content: Any, name: str) -> CenterKind:
    if content == "molecules":
        return "molecules"
    if content == "beads":
        return "beads"
    raise ArtifactError(f'{name}: centers is {content!r}; expected "molecules" or "beads", or no such key')


def _read_alike(content: Any, name: str) -> Mapping[str, str]:
    if not isinstance(content, dict) or not content or not all(isinstance(each, str) for each in content.values()):
        raise ArtifactError(f"{name}: alike is {content!r}; expected names of bead types by name, or no such key")
    return content


def _read_template(content: Any, name: str) -> SiteTemplate:
    _check_keys(content, {"type", "bead_type", "positions"}, name)
    positions = content["positions"]
    if not isinstance(content["type"], str) or not isinstance(content["bead_type"], str):
        raise ArtifactError(f"{name}: type and bead_type must be names")
    if not isinstance(positions, list) or not all(isinstance(each, list) and _is_value(each) for each in positions):
        raise ArtifactError(f"{name}: positions must be a list of three coordinates each, not {positions!r}")
    try:
        return SiteTemplate(site_type=content["type"], bead_type=content["bead_type"], positions=tuple(positions))
    except InputError as error:
        raise ArtifactError(f"{name}: {error}") from error


def _read_term(content: Any, name: str) -> PriorTerm:
    _check_keys(content, {"form", "types", "parameters"}, name)
    types, parameters = content["types"], content["parameters"]
    if not isinstance(types, list) or not all(isinstance(t, str) for t in types) or not isinstance(parameters, dict):
        raise ArtifactError(f"{name}: types must be a list of names, parameters an object of numbers")
    wrong = [key for key, value in parameters.items() if not _is_value(value)]
    if wrong:
        raise ArtifactError(f"{name}: {wrong[0]} is {parameters[wrong[0]]!r}; expected a number or a list of them")
    try:
        return PriorTerm(form=content["form"], types=tuple(types), parameters=parameters)
    except InputError as error:
        raise ArtifactError(f"{name}: {error}") from error


def _is_value(value: Any) -> bool:
    if isinstance(value, list):
        return all(not isinstance(entry, list) and _is_value(entry) for entry in value)
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_keys(content: Any, expected: set[str], name: str) -> None:
    if not isinstance(content, dict):
        raise ArtifactError(f"{name}: expected an object, found {type(content).__name__}")
    if content.keys() != expected:
        missing, unknown = sorted(expected - content.keys()), sorted(content.keys() - expected)
        raise ArtifactError(f"{name}: keys missing: {missing or 'none'}; unknown: {unknown or 'none'}")
