"""Builders that a site file or a recipe describes: which one holds, what buildx is to be told, up, down and ls."""

from generator.building.described import Described, described_by
from generator.building.plan import BuilderPlan, NodePlan, plan_builder

__all__ = ["BuilderPlan", "Described", "NodePlan", "described_by", "plan_builder"]
