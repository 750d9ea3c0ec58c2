"""The statements of a catalog. Their tables are temporary: what a listing told, and what changes by it."""

from __future__ import annotations

LISTING = """
CREATE TEMP TABLE listing (path text COLLATE "C" NOT NULL, size_bytes bigint, modified_ns bigint,
                           etag text, deferred boolean NOT NULL, marker boolean NOT NULL, needs text COLLATE "C")
"""

FOLDERS = """
CREATE TEMP TABLE folder AS
WITH RECURSIVE above AS (
    SELECT path FROM listing_folder WHERE path <> ''
    UNION
    SELECT left(path, length(path) - strpos(reverse(path), '/')) FROM above WHERE strpos(path, '/') > 0
)
SELECT path FROM above
"""

# Everything recorded is equal and proves something: no need to look at the pair one by one. An
# unsettled file, a file without size or time, mode `full` and comparisons that lean on something else
# take the long way. A file whose blob is damaged is fetched again, whatever the far end tells of it.
DAMAGED = """
e.sha256 IN (SELECT sha256 FROM datasets_damagedblob WHERE workspace_id =
             (SELECT workspace_id FROM datasets_dataset WHERE id = %(dataset)s))
"""
CHANGE = f"""
CREATE TEMP TABLE change AS
SELECT coalesce(l.path, e.path) AS path,
       CASE WHEN l.deferred THEN 'deferred' WHEN e.id IS NULL THEN 'added' WHEN l.path IS NULL THEN 'removed'
            WHEN {DAMAGED} THEN 'changed' ELSE 'compare' END
         AS action,
       l.size_bytes, l.modified_ns, l.etag,
       e.id AS entry_id, e.size_bytes AS held_size_bytes,
       coalesce(e.seen_modified_ns, e.modified_ns) AS held_modified_ns,
       e.etag AS held_etag, e.sha256 AS held_sha256, e.settled AS held_settled,
       e.content_type AS held_content_type,
       NULL::bytea AS told_sha256, NULL::boolean AS told_settled
  FROM (SELECT DISTINCT ON (path) * FROM listing WHERE NOT marker ORDER BY path) l
  FULL JOIN (SELECT * FROM datasets_entry WHERE dataset_id = %(dataset)s AND until IS NULL) e
    ON l.path = e.path
 WHERE %(pairwise)s OR l.path IS NULL OR e.id IS NULL OR l.deferred OR NOT (
       e.settled AND l.size_bytes IS NOT DISTINCT FROM e.size_bytes
       AND l.modified_ns IS NOT DISTINCT FROM coalesce(e.seen_modified_ns, e.modified_ns)
       AND l.etag IS NOT DISTINCT FROM e.etag
       AND (e.etag IS NOT NULL OR e.modified_ns IS NOT NULL)) OR {DAMAGED}
"""  # noqa: S608 — made of constants

NOT_FETCHED_YET = """
    c.action IN ('added', 'changed') AND NOT EXISTS (SELECT FROM datasets_receipt r WHERE
    r.dataset_id = %(dataset)s AND r.path = c.path
    AND r.listed_size_bytes IS NOT DISTINCT FROM c.size_bytes
    AND r.listed_modified_ns IS NOT DISTINCT FROM c.modified_ns
    AND r.listed_etag IS NOT DISTINCT FROM c.etag
    AND (c.told_sha256 IS NULL OR r.sha256 = c.told_sha256)
    AND (r.record_id = %(record)s
         OR (%(receipts)s AND r.settled AND (c.modified_ns IS NOT NULL OR c.etag IS NOT NULL))))
"""
WANTED = f"""
SELECT c.path, c.size_bytes, c.modified_ns, c.etag, c.told_sha256 FROM change c
 WHERE c.path > %(last)s AND {NOT_FETCHED_YET} ORDER BY c.path LIMIT %(page)s
"""  # noqa: S608 — made of constants
COUNT_WANTED = f"""
SELECT count(*), least(coalesce(sum(c.size_bytes), 0), 9223372036854775807)::bigint FROM change c WHERE {NOT_FETCHED_YET}
"""  # noqa: S608 — made of constants

# What a sync can be expected to add: a file that is listed as it is held is read again, and proves to be that.
NEW_BYTES = f"""
SELECT least(coalesce(sum(c.size_bytes) FILTER (WHERE c.entry_id IS NULL
             OR c.size_bytes IS DISTINCT FROM c.held_size_bytes
             OR c.modified_ns IS DISTINCT FROM c.held_modified_ns
             OR c.etag IS DISTINCT FROM c.held_etag), 0), 9223372036854775807)::bigint AS new_bytes,
       least(coalesce(sum(c.size_bytes), 0), 9223372036854775807)::bigint AS all_bytes,
       coalesce(max(c.size_bytes), 0) AS largest_bytes
  FROM change c WHERE {NOT_FETCHED_YET}
"""  # noqa: S608 — made of constants
# Each content once, however many files and versions have it; also what was fetched and is not published yet.
HELD_BYTES = """
SELECT coalesce(sum(size_bytes), 0)::bigint FROM (
    SELECT max(size_bytes) AS size_bytes FROM (
        SELECT e.sha256, e.size_bytes FROM datasets_entry e JOIN datasets_dataset d ON d.id = e.dataset_id
         WHERE d.workspace_id = %(workspace)s
         UNION ALL
        SELECT r.sha256, r.size_bytes FROM datasets_receipt r JOIN datasets_dataset d ON d.id = r.dataset_id
         WHERE d.workspace_id = %(workspace)s) named GROUP BY sha256) each
"""

# With what an attempt is about to publish; and how much of it no version names yet.
PUBLISHED_BYTES = """
SELECT coalesce(sum(size_bytes), 0)::bigint, coalesce(sum(size_bytes) FILTER (WHERE is_new), 0)::bigint FROM (
    SELECT max(size_bytes) AS size_bytes, bool_and(is_new) AS is_new FROM (
        SELECT e.sha256, e.size_bytes, false AS is_new
          FROM datasets_entry e JOIN datasets_dataset d ON d.id = e.dataset_id
         WHERE d.workspace_id = %(workspace)s
         UNION ALL
        SELECT sha256, size_bytes, true FROM outcome WHERE action IN ('added', 'changed')) named
     GROUP BY sha256) each
"""
# Until the transaction ends: who publishes in a workspace sees what the others have published.
ONE_AFTER_THE_OTHER = "SELECT pg_advisory_xact_lock(hashtextextended(%(workspace)s::text, 1))"


# What would be done, as a person is shown it. A removal counts only where removals apply.
PLAN = """
SELECT path, action,
       CASE WHEN action = 'removed' THEN held_size_bytes ELSE size_bytes END AS size_bytes,
       CASE WHEN action = 'removed' THEN held_modified_ns ELSE modified_ns END AS modified_ns,
       CASE WHEN action = 'removed' THEN held_etag ELSE etag END AS etag
  FROM change
 WHERE action IN ('added', 'changed') OR (action = 'removed' AND %(removals)s)
"""

ASKED = """
SELECT path, size_bytes, modified_ns, etag, told_sha256 FROM change
 WHERE action = 'ask' AND path > %(last)s ORDER BY path LIMIT %(page)s
"""

# A path and what lies below it: `0` is the character after `/`.
BELOW = "c.path >= n.path || '/' AND c.path < n.path || '0'"
NAMES = "unnest(%(paths)s::text[]) AS n (path)"
KEEP = (
    f"UPDATE change c SET action = 'kept' FROM {NAMES}"  # noqa: S608 — made of constants
    " WHERE c.action = 'removed' AND c.path = n.path RETURNING c.path, n.path",
    f"UPDATE change c SET action = 'kept' FROM {NAMES}"  # noqa: S608 — made of constants
    f" WHERE c.action = 'removed' AND {BELOW} RETURNING c.path, n.path",
)

# What would be removed beside new names that the host lists and does not have.
FOLDER_OF = "left({0}, greatest(0, length({0}) - strpos(reverse({0}) || '/', '/')))"
DOUBTED = f"""
UPDATE change c SET action = 'kept'
  FROM (SELECT DISTINCT {FOLDER_OF.format("path")} AS folder FROM change
         WHERE action = 'added' AND path = ANY(%(paths)s)) n
 WHERE c.action = 'removed' AND {FOLDER_OF.format("c.path")} = n.folder
RETURNING c.path
"""  # noqa: S608 — made of constants

# By the name in the folder that each removed file is, or lies below; a name that is still listed proves
# that the listing went past it.
GONE_FROM = """
WITH gone AS (
    SELECT %(prefix)s || split_part(substr(path, length(%(prefix)s) + 1), '/', 1) AS path, count(*) AS files
      FROM change WHERE action = 'removed' AND starts_with(path, %(prefix)s) GROUP BY 1
)
SELECT coalesce(sum(files), 0)::bigint FROM gone g
 WHERE NOT EXISTS (SELECT FROM folder f WHERE f.path = g.path)
"""

# What the next version would hold beside what is listed: files that are kept though they are not listed.
IS_KEPT = """
entry_id IS NOT NULL AND (action IN ('deferred', 'kept') OR (action = 'removed' AND NOT %(removals)s))
"""
KEPT = f"CREATE TEMP TABLE kept AS SELECT path FROM change WHERE {IS_KEPT}"  # noqa: S608 — made of constants
MAY_CONFLICT = f"""
SELECT EXISTS (SELECT FROM listing JOIN folder USING (path) WHERE NOT marker)
    OR EXISTS (SELECT FROM change WHERE {IS_KEPT})
"""  # noqa: S608 — made of constants
CONFLICT = """
CREATE TEMP TABLE conflict AS
WITH RECURSIVE above_kept AS (
    SELECT left(path, length(path) - strpos(reverse(path), '/')) AS path FROM kept WHERE strpos(path, '/') > 0
    UNION
    SELECT left(path, length(path) - strpos(reverse(path), '/')) FROM above_kept WHERE strpos(path, '/') > 0
)
SELECT path FROM listing JOIN folder USING (path) WHERE NOT marker
UNION SELECT path FROM kept JOIN folder USING (path)
UNION SELECT path FROM change JOIN above_kept USING (path) WHERE action = 'added'
"""
PUT_OFF = "CASE WHEN c.action IN ('removed', 'kept') THEN 'kept' ELSE 'deferred' END"
DEFER_CONFLICTS = (
    f"UPDATE change c SET action = {PUT_OFF} FROM conflict n WHERE c.path = n.path",  # noqa: S608 — made of constants
    f"UPDATE change c SET action = {PUT_OFF} FROM conflict n WHERE {BELOW}",  # noqa: S608 — made of constants
)
TELL_CONFLICTS = """
SELECT n.path, (SELECT min(b.path) FROM (SELECT path FROM listing UNION ALL SELECT path FROM change) b
                 WHERE b.path >= n.path || '/' AND b.path < n.path || '0')
  FROM conflict n ORDER BY n.path
"""

TAKE_TOLD = """
UPDATE change c SET told_sha256 = d.sha256, told_settled = d.settled,
       action = CASE WHEN d.sha256 = c.held_sha256 THEN 'same' ELSE 'changed' END
  FROM unnest(%(paths)s::text[], %(digests)s::bytea[], %(settled)s::boolean[])
       AS d (path, sha256, settled)
 WHERE c.path = d.path
"""
