"""Who: workspaces, members, roles, API tokens."""
