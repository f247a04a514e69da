-- Which model serves, in its only row. The space that pictures are committed with is a column, which each commit reads.
CREATE TABLE model (
    only     INTEGER PRIMARY KEY CHECK (only = 1),
    revision INTEGER NOT NULL,
    active   TEXT NOT NULL,
    record   TEXT NOT NULL    -- JSON
) STRICT;
