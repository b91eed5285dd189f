"""The formats of training data: what they are called, how one is recognised, what a row means in it."""

from engine.data.convert import FORMATS, Format, to_example
from engine.data.detect import DetectedFormat, detect_format
from engine.data.examples import Example, RowProblem, Turn

__all__ = ["FORMATS", "DetectedFormat", "Example", "Format", "RowProblem", "Turn", "detect_format", "to_example"]
