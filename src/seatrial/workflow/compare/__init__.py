"""`seatrial compare`, for each kind of input."""
