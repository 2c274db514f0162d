"""Devices and machines that share a batch."""
