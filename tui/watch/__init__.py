"""What a viewer of a run knows, without any screen: the events followed, the machine read, and both put into words."""
