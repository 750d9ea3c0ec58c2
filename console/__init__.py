"""The surface for people: admin site, dashboard, live pages."""
