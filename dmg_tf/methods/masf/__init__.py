"""MASF: relations between classes and clusters that hold on other domains."""
