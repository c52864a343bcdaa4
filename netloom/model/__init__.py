"""Words: the frozen value types that the stages hand to one another. No I/O, no clock, no chance."""
