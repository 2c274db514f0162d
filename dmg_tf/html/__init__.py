"""Pages to look at: one self-contained file each, without scripts."""
