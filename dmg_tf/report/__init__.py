"""What a run did, as text for a terminal and as a page."""
