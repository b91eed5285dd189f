"""A run on disk: its directory, its events, requests to it, and the process that carries it out.

The engine writes, everybody else reads: a viewer is a fold over the run directory and can come and go.
"""
