"""One file per page of the wizard. A page shows its step and stores what is typed; it decides nothing by itself."""
