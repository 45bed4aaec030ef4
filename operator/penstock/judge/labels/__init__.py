"""Accuracy when labels come late: what can be said exactly from counts per cohort of prediction time.

Nothing here gates a promotion: a release does not wait for labels. Its findings open and close the label watch that
follows a release, with a share of `falseRollback` of its own.
"""
