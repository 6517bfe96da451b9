"""What a reader sees: tables, figures and the answer in words."""
