"""Facts of the hardware, and processes whose death leaves the caller alive."""
