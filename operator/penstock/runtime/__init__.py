"""What turns passes of the core into a running operator: queue, workers, clock, configuration, probes, own metrics."""
