"""Kind rest: objects of an API that speaks JSON."""
