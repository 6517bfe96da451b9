"""Visual complexity of images: one row of numbers per image."""
