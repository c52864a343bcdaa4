"""Quality of service: policies, their rules, and who is held to them."""
