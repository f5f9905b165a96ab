"""The edge: the only Python that touches JavaScript, the DOM or the network."""
