-- The job queue's own tables. The file may hold other tables too, so nothing here touches `user_version`.
CREATE TABLE IF NOT EXISTS queue_schema (version INTEGER NOT NULL);

CREATE TABLE IF NOT EXISTS queue_jobs (
    seq             INTEGER PRIMARY KEY,   -- the order of pushes
    id              TEXT    NOT NULL UNIQUE,
    kind            TEXT    NOT NULL,
    tenant          TEXT    NOT NULL,
    status          TEXT    NOT NULL,
    attempts        INTEGER NOT NULL DEFAULT 0,
    max_attempts    INTEGER NOT NULL,
    progress        INTEGER NOT NULL DEFAULT -1,
    message         TEXT    NOT NULL DEFAULT '',
    payload         TEXT    NOT NULL,      -- JSON, like result and error
    result          TEXT,
    error           TEXT,
    cancel_asked    INTEGER NOT NULL DEFAULT 0,
    created_at      INTEGER NOT NULL,      -- microseconds since 1970, like every time here
    started_at      INTEGER,
    finished_at     INTEGER,
    updated_at      INTEGER NOT NULL,
    idempotency_key TEXT,
    body_digest     TEXT,
    to_disk         INTEGER NOT NULL,      -- acknowledgements wait for the disk
    due_at          INTEGER NOT NULL,      -- not to be claimed before
    lone            INTEGER NOT NULL DEFAULT 0, -- lost its worker: runs by itself
    token           INTEGER NOT NULL DEFAULT 0, -- grows with every claim
    worker          TEXT,
    lease_until     INTEGER,
    telling         INTEGER NOT NULL DEFAULT 0  -- whether its end has to be told: 0 no, 1 yes, 2 it was
);

CREATE UNIQUE INDEX IF NOT EXISTS queue_jobs_request ON queue_jobs (tenant, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX IF NOT EXISTS queue_jobs_due ON queue_jobs (kind, tenant, due_at)
    WHERE status = 'pending' AND lone = 0;
CREATE INDEX IF NOT EXISTS queue_jobs_lone ON queue_jobs (due_at) WHERE status = 'pending' AND lone = 1;
CREATE INDEX IF NOT EXISTS queue_jobs_leased ON queue_jobs (lease_until) WHERE status = 'processing';
CREATE INDEX IF NOT EXISTS queue_jobs_finished ON queue_jobs (status, finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS queue_jobs_tenant ON queue_jobs (tenant);
CREATE INDEX IF NOT EXISTS queue_jobs_depth ON queue_jobs (kind, status);

-- Whose turn it is: one row for each kind and tenant with jobs that wait in shared company. The lowest turn is next;
-- being served, or arriving anew, means going to the end.
CREATE TABLE IF NOT EXISTS queue_turns (
    kind   TEXT    NOT NULL,
    tenant TEXT    NOT NULL,
    turn   INTEGER NOT NULL,
    PRIMARY KEY (kind, tenant)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS queue_turns_order ON queue_turns (turn);
