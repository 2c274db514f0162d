"""What a program shows in a terminal, and how it is started."""
