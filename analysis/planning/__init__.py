"""Before the data are collected: simulated studies, and what they would see."""
