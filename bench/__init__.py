"""Speed and exactness of the model engine, measured in a browser against the pipeline of the model card."""
