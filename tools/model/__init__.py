"""Builds, trains and measures models of the lfm2_vl architecture for transformers.js."""
