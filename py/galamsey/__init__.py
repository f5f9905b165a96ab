"""From a point in Ghana to suspected mining sites: the pure core, free of any browser."""
