"""What is written, by whom, in an order that nobody changes: triggers that fill a table of the run.

Each process of the product logs in under a role of its own, and a session that works for an attempt is
named by it: so a row of the history says which process wrote, for which token.
"""

from __future__ import annotations

from typing import Any

import psycopg

_TABLE = """
CREATE SCHEMA faults;
GRANT USAGE ON SCHEMA faults TO PUBLIC;
CREATE TABLE faults.history (
    id bigserial PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xact xid8 NOT NULL DEFAULT pg_current_xact_id(),
    process text NOT NULL DEFAULT session_user,
    session text NOT NULL DEFAULT current_setting('application_name'),
    what text NOT NULL,
    dataset uuid,
    record uuid,
    fence bigint,
    data jsonb NOT NULL DEFAULT '{}'
);
GRANT SELECT, INSERT ON faults.history TO PUBLIC;
GRANT USAGE ON SEQUENCE faults.history_id_seq TO PUBLIC;

CREATE FUNCTION faults.fence_of(uuid) RETURNS bigint LANGUAGE sql VOLATILE
    AS 'SELECT fencing_token FROM public.datasets_dataset WHERE id = $1';
CREATE FUNCTION faults.dataset_of(uuid) RETURNS uuid LANGUAGE sql VOLATILE AS $$
    SELECT j.dataset_id FROM public.syncjobs_syncrecord r
      JOIN public.syncjobs_syncjob j ON j.id = r.job_id WHERE r.id = $1 $$;
"""

_TRIGGERS = """
CREATE FUNCTION faults.note_event() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO faults.history (what, dataset, record, data)
    VALUES ('event', faults.dataset_of(NEW.record_id), NEW.record_id, jsonb_build_object(
        'event', NEW.event, 'from', NEW.from_state, 'to', NEW.to_state, 'token', NEW.token,
        'reason', NEW.reason, 'data', NEW.data, 'late', extract(epoch FROM clock_timestamp() - NEW.at)));
    RETURN NULL; END $$;
CREATE TRIGGER faults_event AFTER INSERT ON events_syncevent
    FOR EACH ROW EXECUTE FUNCTION faults.note_event();

CREATE FUNCTION faults.note_record() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO faults.history (what, dataset, record, data)
    VALUES ('queued', faults.dataset_of(NEW.id), NEW.id, jsonb_build_object(
        'fire', extract(epoch FROM NEW.scheduled_for)));
    RETURN NULL; END $$;
CREATE TRIGGER faults_record AFTER INSERT ON syncjobs_syncrecord
    FOR EACH ROW EXECUTE FUNCTION faults.note_record();

CREATE FUNCTION faults.note_beat() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO faults.history (what, record, data)
    VALUES ('heartbeat', NEW.id, jsonb_build_object('token', NEW.token));
    RETURN NULL; END $$;
CREATE TRIGGER faults_beat AFTER UPDATE ON syncjobs_syncrecord FOR EACH ROW
    WHEN (OLD.state = 'running' AND NEW.state = 'running'
          AND OLD.heartbeat_at IS DISTINCT FROM NEW.heartbeat_at)
    EXECUTE FUNCTION faults.note_beat();

CREATE FUNCTION faults.note_version() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO faults.history (what, dataset, record, fence, data)
    VALUES ('version', NEW.dataset_id, NEW.record_id, faults.fence_of(NEW.dataset_id),
        jsonb_build_object('number', NEW.number));
    RETURN NULL; END $$;
CREATE TRIGGER faults_version AFTER INSERT ON datasets_version
    FOR EACH ROW EXECUTE FUNCTION faults.note_version();

CREATE FUNCTION faults.note_receipts() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO faults.history (what, dataset, record, fence, data)
    SELECT 'receipts', dataset_id, record_id, faults.fence_of(dataset_id),
           jsonb_build_object('files', count(*))
      FROM written GROUP BY dataset_id, record_id;
    RETURN NULL; END $$;
CREATE TRIGGER faults_receipts_new AFTER INSERT ON datasets_receipt
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION faults.note_receipts();
CREATE TRIGGER faults_receipts_changed AFTER UPDATE ON datasets_receipt
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION faults.note_receipts();

CREATE FUNCTION faults.note_ledger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO faults.history (what, dataset, record, fence, data)
    SELECT 'ledger', faults.dataset_of(record_id), record_id,
           faults.fence_of(faults.dataset_of(record_id)),
           jsonb_build_object('files', count(*), 'troubled', coalesce(jsonb_agg(path)
               FILTER (WHERE action IN ('failed', 'skipped', 'deferred')), '[]'))
      FROM written GROUP BY record_id;
    RETURN NULL; END $$;
CREATE TRIGGER faults_ledger AFTER INSERT ON syncjobs_syncitem
    REFERENCING NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION faults.note_ledger();
"""


def install(admin: psycopg.Connection[Any]) -> None:
    admin.execute(_TABLE)
    admin.execute(_TRIGGERS)
