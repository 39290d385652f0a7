"""Whether this process can serve, and how the others are: what load balancers and supervisors ask for."""
