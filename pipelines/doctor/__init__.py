"""Checks of a cluster that a profile's pipeline is to run on; its own APIs answer them."""
