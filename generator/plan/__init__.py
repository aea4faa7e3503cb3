"""The plan: recipe and facts in, an immutable graph of targets out."""

from generator.plan.build import build_graph
from generator.plan.compiling import wheel_target
from generator.plan.graph import ContextFile, Graph, Kind, Output, Target, Variable

__all__ = ["ContextFile", "Graph", "Kind", "Output", "Target", "Variable", "build_graph", "wheel_target"]
