"""DICA: a projection in which the domains' means are alike."""
