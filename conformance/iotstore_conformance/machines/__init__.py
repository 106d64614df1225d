"""State machines: random histories on a store and on the model, compared after every step."""
