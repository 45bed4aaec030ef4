"""What the core is tried against: an API server, Deployments' pods, routers and a judge, in memory."""
