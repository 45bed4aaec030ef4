"""Long-running A/B/n tests on users: sample ratio, always-valid effects, discoveries among secondary metrics."""
