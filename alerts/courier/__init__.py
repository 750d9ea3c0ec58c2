"""The child that sends: the one place where Apprise is loaded. It knows no database and no settings of ours."""
