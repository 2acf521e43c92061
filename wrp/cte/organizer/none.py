"""`none`: nothing moves by itself."""


class Nothing:
    """Sees everything and does nothing."""

    name = "none"

    def __init__(self, tiers):
        del tiers

    def on(self, event):
        """See `contract`."""
        del event
        return ()
