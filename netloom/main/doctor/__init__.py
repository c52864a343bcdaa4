"""`netloom doctor`: what is looked at, where, and what to do about it."""
