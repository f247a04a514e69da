-- Shops, and the keys that speak for them. The record is JSON.
CREATE TABLE tenants (
    id     TEXT PRIMARY KEY,
    record TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE api_keys (
    id         TEXT PRIMARY KEY,
    tenant     TEXT NOT NULL,
    created_at INTEGER NOT NULL, -- microseconds
    record     TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_of_tenant ON api_keys (tenant, created_at);
