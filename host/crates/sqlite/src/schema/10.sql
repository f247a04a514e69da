-- What shops judged, to measure searches by.
CREATE TABLE judgements (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    record TEXT NOT NULL,    -- JSON
    lines  TEXT NOT NULL,    -- one JSON object in each
    PRIMARY KEY (tenant, name)
) STRICT;

-- Finds what changed lately.
CREATE INDEX products_by_change ON products (tenant, updated_at, id);
