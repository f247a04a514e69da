-- Plugins: which versions are kept, what is active for whom, what was done to that, and how it has been doing.
-- A record is JSON. The shop is '' where something belongs to nobody, or is for every shop.
CREATE TABLE plugin_components (
    digest    BLOB NOT NULL PRIMARY KEY, -- SHA-256 of the component
    component BLOB NOT NULL
) STRICT;

CREATE TABLE plugin_versions (
    owner  TEXT NOT NULL,
    digest BLOB NOT NULL REFERENCES plugin_components (digest),
    record TEXT NOT NULL,
    PRIMARY KEY (owner, digest)
) STRICT, WITHOUT ROWID;
CREATE INDEX plugin_versions_of_component ON plugin_versions (digest);

-- The revision of the latest change, in the only row.
CREATE TABLE plugin_revision (
    row      INTEGER PRIMARY KEY CHECK (row = 1),
    revision INTEGER NOT NULL
) STRICT;
INSERT INTO plugin_revision (row, revision) VALUES (1, 0);

CREATE TABLE plugin_activations (
    tenant   TEXT NOT NULL,
    slot     TEXT NOT NULL,
    revision INTEGER NOT NULL UNIQUE,
    record   TEXT NOT NULL,
    PRIMARY KEY (tenant, slot)
) STRICT, WITHOUT ROWID;

-- One line for each revision.
CREATE TABLE plugin_events (
    tenant   TEXT NOT NULL,
    revision INTEGER NOT NULL,
    slot     TEXT NOT NULL,
    record   TEXT NOT NULL,
    PRIMARY KEY (tenant, revision)
) STRICT, WITHOUT ROWID;

CREATE TABLE plugin_statistics (
    slot    TEXT NOT NULL,
    tenant  TEXT NOT NULL,
    digest  BLOB NOT NULL,
    part    TEXT NOT NULL,
    process TEXT NOT NULL,
    record  TEXT NOT NULL,
    PRIMARY KEY (slot, tenant, digest, part, process)
) STRICT, WITHOUT ROWID;
