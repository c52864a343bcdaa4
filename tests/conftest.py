"""Which examples property tests try: the same ones each time, so that a red run names a change and not a chance.

`HYPOTHESIS_PROFILE=search make check` tries new ones; what it finds becomes an `@example` of its test.
"""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("steady", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "steady"))
