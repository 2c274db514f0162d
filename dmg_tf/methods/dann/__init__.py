"""DANN: features in which a classifier can't tell the domains apart."""
