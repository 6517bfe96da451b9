"""What the number of active experts buys, and whether the best one shifts with complexity."""
