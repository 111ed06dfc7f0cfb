"""When a look at what has arrived is worth its requests: when something rang, and now and then."""

import time
from dataclasses import dataclass

from retail_platform.streaming.arrivals import Arrivals

AWAKE_SECONDS = 60
"""How long a sensor looks after it heard or found something: what came may have rung during a run."""

LOOK_SECONDS = 600
"""Between two looks without any ringing, should a notification have been lost."""


@dataclass
class Attention:
    """Whether a sensor is to look.

    Attributes:
        arrivals: Where things arrive; where they do not ring, every look is worth it.
    """

    arrivals: Arrivals
    _awake_until: float = 0
    _next_look: float = 0

    def due(self) -> bool:
        """Whether to look now.

        Raises:
            RetailError: Its queue cannot be asked.
        """
        rung = self.arrivals.rung()
        if rung is None:
            return True
        if rung:
            self.keep_awake()
        now = time.monotonic()
        if now < self._awake_until:
            return True
        if now < self._next_look:
            return False
        self._next_look = now + LOOK_SECONDS
        return True

    def keep_awake(self) -> None:
        """Something was there; look again soon."""
        self._awake_until = time.monotonic() + AWAKE_SECONDS
