"""Options: declared once, read once, checked, and given to the parts as frozen values."""
