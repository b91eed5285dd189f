"""The work of a run: load, rehearse, train, save, evaluate, and leave a result that others can open.

`run.py` tells the story from the first phase to the exit code. Nothing here talks to a terminal: the engine writes
events and files into the run directory and reads requests from it.
"""
