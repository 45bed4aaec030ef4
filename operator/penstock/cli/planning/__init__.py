"""What a release will need, worked out beforehand: simulated releases, judged by the judge's own rules."""
