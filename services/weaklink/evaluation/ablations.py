"""The method without one of its parts, by configuration alone: what each part carries."""

from typing import Any, Final

from pydantic import BaseModel

from weaklink.errors import ConfigurationError
from weaklink.evaluation.spec import FULL, LOOP
from weaklink.settings import Settings

_OFF: Final = 1e9

ABLATIONS: Final[dict[str, dict[str, Any]]] = {
    "no_leave_one_out": {"belief.leave_one_out": False},
    "no_party_caps": {
        "belief.foreign_clip": (-0.15, _OFF),
        "belief.foreign_soft_max": _OFF,
        "structure.foreign_party_max": _OFF,
    },
    "no_cluster_test": {
        "cluster.sharing_min": -_OFF,
        "cluster.pass_min": -_OFF,
        "cluster.party_min": -_OFF,
        "cluster.fragment_party_min": -_OFF,
        "cluster.covered_min": 0.0,
    },
    "no_member_test": {
        "cluster.member_kinds": 0,
        "cluster.independent_parties": 0,
    },
    "no_structure": {"structure.total_max": 0.0},
    "no_chain_evidence": {"chains.chain_max": 0.0},
    "no_conduct": {
        "conduct.task_weight": 0.0,
        "conduct.regular_weight": 0.0,
        "conduct.output_weight": 0.0,
    },
    "no_propagation": {
        "belief.kind_caps": {},
        "belief.foreign_clip": (0.0, 0.0),
    },
    "no_fast_path": {"fast.flagged_holders_min": 1_000_000_000},
    "no_adherents": {"adherents.rounds": 0},
    "no_merging": {"cluster.merge_rounds": 0},
}
"""Name -> fields of `settings.campaigns` and what they are set to. A field that does not exist is an error, so that none rots."""


def ablated(settings: Settings, variant: str) -> Settings:
    """Settings of a variant. Raises ConfigurationError when there is no such variant, or a field of it is gone."""
    if variant in (FULL, LOOP):
        return settings
    if variant not in ABLATIONS:
        raise ConfigurationError(f"no ablation named {variant!r}; there are: {', '.join(ABLATIONS)}")
    campaigns: BaseModel = settings.campaigns
    for path, value in ABLATIONS[variant].items():
        campaigns = _changed(campaigns, path.split("."), value, variant)
    return settings.model_copy(update={"campaigns": campaigns})


def _changed(section: BaseModel, path: list[str], value: Any, variant: str) -> BaseModel:
    name = path[0]
    if name not in type(section).model_fields:
        raise ConfigurationError(f"ablation {variant}: {type(section).__name__} has no field {name!r}")
    if len(path) > 1:
        value = _changed(getattr(section, name), path[1:], value, variant)
    return section.model_copy(update={name: value})
