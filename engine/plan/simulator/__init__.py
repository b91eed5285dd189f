"""The simulation: one training step of the real model class on fake tensors, followed byte by byte."""
