"""Desired objects, each from scratch and with only the fields that are ours; one module for each kind of object. Pure."""
