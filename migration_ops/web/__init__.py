"""What the engine does with requests: who asks, and the control room."""
