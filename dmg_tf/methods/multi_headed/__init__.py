"""The baseline with a classifier a domain on one shared network."""
