"""What the routers counted: pulled from their agents, put in order, shown to the judge, kept as a few kilobytes."""
