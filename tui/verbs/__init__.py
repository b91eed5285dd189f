"""The verbs of the command line. `table` declares them all and is light; each module is imported when its verb runs."""
