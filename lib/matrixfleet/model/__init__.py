"""What may be said: every key of the inventory with its unit, its default and its reason.

No decision is taken here; what follows from what was said is the plan's.
"""

from matrixfleet.model.choices import BUILT
from matrixfleet.model.cluster import Cluster
from matrixfleet.model.fleet import Fleet, Target
from matrixfleet.model.peers import Peer
from matrixfleet.model.release import Image, Release
from matrixfleet.model.resources import Resources
from matrixfleet.model.tenant import Tenant

__all__ = ["BUILT", "Cluster", "Fleet", "Image", "Peer", "Release", "Resources", "Target", "Tenant"]
