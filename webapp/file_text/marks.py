"""What lines begin with, besides words."""

import re

QUOTED = re.compile(r"^(?:[ \t]?>)+[ \t]?")
LISTED = re.compile(r"(?:\d{1,2}[.)]|[-*•–·])\s")
