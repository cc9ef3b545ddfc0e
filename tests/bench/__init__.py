"""`make bench`: the portal beside a bare handler, measured side by side in one run."""
