"""`lru`: what was used rises at once, what was used longest ago goes."""

from wrp.cte.organizer.contract import Get
from wrp.cte.organizer.ranked import Ranked


class Lru(Ranked):
    """Every read of a blob in a slower tier moves it: quick to follow, dear when everything is read once."""

    name = "lru"

    def heat(self, name, blob):
        """The time of the last use."""
        return blob.used

    def may_rise(self, name, blob):
        """Whatever is used does."""
        return True

    def coldest(self, number):
        """As the book has them."""
        return self.book.within[number]

    def on(self, event):
        """See `contract`."""
        actions = super().on(event)
        if type(event) is Get and event.blob in self.book.blobs:
            self.book.touched.discard(event.blob)
            actions += tuple(self.rising([event.blob]).actions)
        return actions
