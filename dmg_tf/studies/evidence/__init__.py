"""Whether it works: protocols with seeds, compact results, and their page."""
