-- Every row names its shop, directly or through its product, and so does every query.

CREATE TABLE products (
    seq        INTEGER PRIMARY KEY,
    tenant     TEXT NOT NULL,
    id         TEXT NOT NULL,
    details    TEXT NOT NULL,    -- JSON
    index_text TEXT NOT NULL,    -- kept so that the keyword index can be rebuilt
    created_at INTEGER NOT NULL, -- microseconds
    updated_at INTEGER NOT NULL,
    UNIQUE (tenant, id)
) STRICT;
CREATE INDEX products_by_age ON products (tenant, created_at, id);

-- What filters can ask: one row per value, several for a list. Text is TEXT, a number is REAL, false and true are
-- x'00' and x'01', and x'' stands for a value that no test but "exists" can pass (an empty list).
CREATE TABLE fields (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   ANY NOT NULL,
    product INTEGER NOT NULL REFERENCES products (seq),
    PRIMARY KEY (tenant, name, value, product)
) STRICT, WITHOUT ROWID;

CREATE TABLE images (
    tenant   TEXT NOT NULL,
    hash     BLOB NOT NULL,
    product  INTEGER NOT NULL REFERENCES products (seq),
    position INTEGER NOT NULL,
    look     INTEGER NOT NULL,   -- the 64 bits of the perceptual hash
    url      TEXT NOT NULL,
    width    INTEGER NOT NULL,
    height   INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX images_of_product ON images (product, position);
-- Covers the search for images that look alike.
CREATE INDEX images_by_look ON images (tenant, look, hash, product);

CREATE TABLE spaces (
    key       INTEGER PRIMARY KEY,
    id        TEXT NOT NULL UNIQUE,
    model     TEXT NOT NULL,
    dimension INTEGER NOT NULL
) STRICT;

-- AUTOINCREMENT: a position is never given twice, so "after this position" misses nothing.
CREATE TABLE vectors (
    position  INTEGER PRIMARY KEY AUTOINCREMENT,
    space     INTEGER NOT NULL REFERENCES spaces (key),
    tenant    TEXT NOT NULL,
    image     BLOB NOT NULL,
    product   INTEGER NOT NULL REFERENCES products (seq),
    embedding BLOB NOT NULL,     -- f32, little-endian
    UNIQUE (tenant, image, space)
) STRICT;
CREATE INDEX vectors_by_space ON vectors (space);

CREATE TABLE receipts (
    tenant  TEXT NOT NULL,
    effect  TEXT NOT NULL,
    receipt TEXT NOT NULL,       -- JSON
    PRIMARY KEY (tenant, effect)
) STRICT, WITHOUT ROWID;

-- Words: what the keyword search looks in first. The shop is a column, so that the index narrows by it.
-- M* keeps the vowel signs of Indic scripts inside their words.
CREATE VIRTUAL TABLE words USING fts5 (
    tenant, name, text,
    content = '', contentless_delete = 1,
    tokenize = "porter unicode61 remove_diacritics 2 categories 'L* N* Co M*'"
);

-- Pieces of three characters, to find a word inside a longer one.
CREATE VIRTUAL TABLE pieces USING fts5 (
    text,
    content = '', contentless_delete = 1, detail = none,
    tokenize = "trigram remove_diacritics 1"
);
