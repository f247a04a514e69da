-- Grows with every commit that changes a product of the shop.
CREATE TABLE versions (
    tenant  TEXT PRIMARY KEY,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Pictures that an execution said it would host, until its commit records them.
CREATE TABLE intents (
    tenant TEXT NOT NULL,
    image  BLOB NOT NULL,
    effect TEXT NOT NULL,
    at     INTEGER NOT NULL, -- microseconds
    PRIMARY KEY (tenant, image, effect)
) STRICT, WITHOUT ROWID;
CREATE INDEX intents_by_age ON intents (at);

-- Pictures that belong to nobody and are being taken from the image host. Nobody may intend them meanwhile.
CREATE TABLE removals (
    tenant TEXT NOT NULL,
    image  BLOB NOT NULL,
    at     INTEGER NOT NULL, -- microseconds
    PRIMARY KEY (tenant, image)
) STRICT, WITHOUT ROWID;
