"""A run as one page that can be sent to somebody: HTML with its curves in it, and the curves as a PNG."""
