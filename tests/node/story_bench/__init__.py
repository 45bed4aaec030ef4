"""What the tests of the demo's story look at: its cluster, callers whose every request is counted, processes, audit."""
