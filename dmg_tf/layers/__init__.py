"""What networks share: batch normalisation, random numbers, reversal."""
