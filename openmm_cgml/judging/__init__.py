"""Mappings compared on one recording before anything is trained: one table of what beads keep, cut and cost."""

from openmm_cgml.lazy import lazy_names

__all__ = ["Candidate", "Judgement", "draw_mapping", "judge_mapping", "suggest_mappings", "table_of"]

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "Candidate": "suggestions",
        "Judgement": "judgement",
        "draw_mapping": "picture",
        "judge_mapping": "judgement",
        "suggest_mappings": "suggestions",
        "table_of": "judgement",
    },
)
