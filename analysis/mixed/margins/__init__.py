"""Marginal means, contrasts, slopes and joint tests of a fit."""
