"""The plan: recipe and facts in, an immutable graph of targets out."""

from generator.plan.build import build_graph
from generator.plan.graph import ContextFile, Graph, Kind, Output, Target, Variable
from generator.plan.names import wheel_target

__all__ = ["ContextFile", "Graph", "Kind", "Output", "Target", "Variable", "build_graph", "wheel_target"]
