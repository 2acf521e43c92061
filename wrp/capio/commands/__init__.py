"""The command `capio`."""
