"""Says what a person can do about each error of a record or of a file."""

from __future__ import annotations

from collections.abc import Mapping

_TRY_TEST = "Try the connector: `manage.py test_connector NAME`, or “Test connection” on its page."

NEXT_STEPS: Mapping[str, tuple[str, ...]] = {
    # the far end; waiting may help
    "unreachable": (
        "Check host and port, and that a firewall lets this machine through.",
        _TRY_TEST,
    ),
    "name_not_resolved": ("Check the host name, and that the workers' DNS knows it.",),
    "connection_lost": (
        "Nothing, if it happens once: what was fetched is kept, and the next try goes on from there.",
        "Look at the host's own log, and at what limits sessions on the way.",
    ),
    "stalled": (
        "Check that the port speaks this protocol, and how loaded the host is.",
        "Grant a slow host more silence: the connector's idle_timeout_s.",
    ),
    "truncated": ("Look at whether the file is still being written: settle_s or done_pattern.",),
    "unstable": (
        "Let files rest before they are taken: the job's settle_s or done_pattern.",
        "Run the job when nobody writes there.",
    ),
    "vanished": ("Nothing: the next record lists the source again.",),
    "throttled": ("Run jobs of this host less often, or with fewer sessions.",),
    # the far end; a person must act
    "network_forbidden": ("Ask the operator to add the network to ALLOWED_NETWORKS.",),
    "proxy_refused": (
        "Ask the proxy's operator to let this host and port through, and this user in.",
    ),
    "host_key_unknown": (
        "Compare the offered key with what the host's operator tells you by another way, then approve"
        " it on the connector's page.",
    ),
    "host_key_changed": (
        "Ask the host's operator whether the key was replaced. Only then approve the new one;"
        " otherwise somebody may stand between.",
    ),
    "tls": ("Check the certificate's name and dates; for a private CA set ca_certificate.",),
    "auth_refused": ("Check user name and secret, and that the host allows this way to log in.",),
    "auth_config": ("Store the secret again: the message says what cannot be used.",),
    "root_missing": ("Check the connector's root: the folder as this user sees it.",),
    "not_a_listing": (
        "Look at what the host answers for the folder: a log-in page, an error page, another form?",
        "Check the connector's root; where the host has no listing, name the files in options.urls.",
    ),
    "permission_refused": ("Give the user the right to read, or choose another folder.",),
    "already_there": ("Take away the file of that name in the folder that files are moved to.",),
    "too_large": ("Raise the job's max_file_size_bytes, or leave the file out.",),
    "unsafe_name": ("Rename the file at the source: its name could leave its folder.",),
    "schema": (
        "A column that the key or the cursor needs is gone at the source: bring it back, or give the job another cursor.",
        "For another key, make another job: a key cannot change while there are versions.",
    ),
    "destination": (
        "Look at the message: the database of the destination refuses the rows or the table.",
        "Give the user of that connector the right to write in its schemas, or mend what stands in the way.",
    ),
    "protocol": ("Check that the connector's kind and port belong together.", _TRY_TEST),
    "auth_failed": (
        "Store the MCP server's token as the secret, or the header field that it wants.",
    ),
    "mcp_tools_only": ("Ask the server's operator for resources: tools cannot be synced.",),
    "mcp_too_many": (
        "Raise the connector's max_resources: it counts all that the server lists. Until then nothing is removed.",
    ),
    "mcp_loop": (
        "Tell the server's operator: its listing must come to an end. Nothing was removed.",
    ),
    "mcp_duplicate_uri": (
        "Tell the server's operator: a listing names each resource once. Nothing was removed.",
    ),
    "mcp_protocol": (
        "Check the connector's host, port and path: an MCP server must answer there by streamable HTTP.",
        _TRY_TEST,
    ),
    "mcp_contents": (
        "Look at the resource in another client: its answer must be one content, or several that are all text.",
        "What is held of it stays until then.",
    ),
    "mcp_other_uri": (
        "Tell the server's operator: it answers with another resource than it was asked for. What is held stays.",
    ),
    "mcp_wrong_id": (
        "Tell the server's operator: its answers bear the id of another request. What is held stays.",
    ),
    "needs_a_person": ("Ask the server's operator to let this user read without a question.",),
    "redirect_refused": ("Set the connector's host, port and path to where the server is.",),
    "transport": (_TRY_TEST,),
    "unreadable": ("Give the user the right to list that folder; until then nothing is removed.",),
    "unreadable_row": (
        "Look at the row as it is shown: the host lists it in a form that is not known here. Until then"
        " nothing is removed.",
    ),
    "listing_too_long": (
        "Look at whether the source makes its listing up as it is read: a calendar, a search page, a loop.",
        "Give the connector a root further down, or raise SYNC_MAX_LISTED_FILES.",
    ),
    "listing_cut": (
        "Raise the host's limit of rows a listing, or spread the files over more folders; until then"
        " nothing is removed.",
    ),
    "leads_elsewhere": (
        "Look at the link: if its files have moved for good, point the connector to the new place.",
        "What is held of it stays until the link is gone.",
    ),
    "doubtful_listing": (
        "Nothing, if it happens once: the next record removes the file if it is gone.",
        "Look at how the host lists that folder: a row may show a wrong name.",
    ),
    "type_conflict": (
        "Rename the file or the folder at the source; until then neither is fetched, and what is held"
        " of them stays.",
    ),
    "invalid_pattern": (
        "Change the pattern that the message names: it was stored before such patterns were refused.",
    ),
    "path_too_long": ("Shorten the path at the source.",),
    # the store
    "store": ("Look at the workers' log.",),
    "store_missing": ("Mount the disk of DATA_DIR on every worker.",),
    "store_foreign": (
        "Mount the store that the database knows on every worker, or adopt this one:"
        " `manage.py adopt_store --help`.",
    ),
    "store_read_only": (
        "Mount the disk of DATA_DIR for writing, and let the workers' user write there.",
    ),
    "worker_short": (
        "Allow the workers more open files (ulimit -n), or fewer records each: SYNC_CONCURRENCY.",
    ),
    "disk_full": ("Make room on the disk of DATA_DIR.",),
    "blob_damaged": (
        "Run `manage.py scrub --repair`: it fetches what the source still has. Then look at the disk.",
    ),
    "blob_unreadable": (
        "Look at the disk and at the kernel's log: it cannot read what it holds.",
        "Run `manage.py scrub --repair` once the disk can be trusted.",
    ),
    "blob_missing": ("Restore the store from a backup, then run the job in mode full.",),
    "quota_exceeded": (
        "Raise the workspace's max_store_bytes, or leave files out: patterns, max_file_size_bytes, max_age_s.",
        "Delete datasets that nobody needs; `manage.py sweep` then frees their room.",
    ),
    "store_io": ("Look at the disk of DATA_DIR and at the kernel's log.",),
    # guards, plans
    "empty_source": (
        "Look at the source: is it the right database, does this user see its rows?",
        "Release the record if the table is meant to be empty; else cancel it.",
    ),
    "schema_change": (
        "Look at which columns are others now, and decide on the record's page: rebuild the column, add a new one"
        " beside it, or stop.",
        "Or release it by `manage.py` or REST with `schema_changes`: docs/rows.md.",
    ),
    "duplicate_key": (
        "Look at the rows of the keys that are shown: the job's key does not tell the rows apart.",
        "Mend the source and release the record, or cancel it and make a job with another key.",
    ),
    "constraint": (
        "Look at the UNIQUE constraint, foreign key or check that somebody added to the table: these rows break it.",
        "Drop the constraint or mend the source, then release the record.",
    ),
    "empty_listing": (
        "Look at the source: is it mounted, is this the right folder?",
        "Release the record if the source is meant to be empty; else cancel it.",
    ),
    "mass_removal": (
        "Look at what would be removed.",
        "Release the record if that is meant; else cancel it.",
    ),
    "round_listing": (
        "Look at the folder at the source: are the missing files still there? Then raise the host's limit"
        " of rows a listing, or spread the files over more folders.",
        "Release the record if they are gone; else cancel it.",
    ),
    "mass_replacement": (
        "Look at one of the files at the source: does it ask for a log-in, or show an error page?",
        "Release the record if that content is meant; else mend the source and cancel it.",
    ),
    "plan_drifted": ("Make a new plan: `manage.py sync JOB --dry-run`.",),
    # the work
    "quarantined": (
        "Look at the workers' logs at the times of the lost attempts: out of memory, killed, restarted?",
        "Run the job again when the reason is gone.",
    ),
    "deadline": (
        "Raise the job's timeout_s, or SYNC_MAX_TIMEOUT_SECONDS, if the work needs that long.",
        "Run the job again: what was fetched is kept, so it gets further.",
    ),
    "stuck.no_progress": (
        "See in the evidence at what stage nothing moved: host, disk or database.",
        "Grant a host that is silent for long more time: the connector's idle_timeout_s.",
        "Raise SYNC_STALL_SECONDS if such a silence is usual here.",
    ),
    "lease.expired": (
        "Nothing, if it happens once: another worker goes on.",
        "Look at the log of the worker that is named in the evidence, and at its machine.",
    ),
    "cancel.unanswered": ("Look at the worker that is named in the evidence: it may hang.",),
    "database": ("Look at the message and at PostgreSQL's log.",),
    "internal": ("This is a defect: report it with the workers' log of that time.",),
}


def next_steps(code: str) -> tuple[str, ...]:
    """Empty for what needs nothing, or is not known."""
    return NEXT_STEPS.get(code, ())
