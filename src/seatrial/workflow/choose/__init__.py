"""`seatrial choose`: the engine, precision and setting to deploy, by a race among those that keep the accuracy."""
