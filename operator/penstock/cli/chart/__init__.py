"""Charts for a terminal and for files (PNG, SVG): plans of a release, and its evidence over time."""
