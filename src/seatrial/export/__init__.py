"""Everything that makes a graph: from a network to ONNX, simplified, with the preprocessing tail fused in."""
