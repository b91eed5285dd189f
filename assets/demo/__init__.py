"""The embedded demo: a small base model, a dataset of orders, and the scripts that make both."""
