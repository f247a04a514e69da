-- Products have offers, and receipts are found by the products that they name.

-- As JSON: see `Offer`.
ALTER TABLE products ADD COLUMN offers TEXT NOT NULL DEFAULT '[]';

CREATE TABLE receipts_of_products (
    tenant  TEXT NOT NULL,
    product TEXT NOT NULL,       -- which may be gone
    at      INTEGER NOT NULL,    -- microseconds since 1970
    effect  TEXT NOT NULL,
    PRIMARY KEY (tenant, product, at, effect)
) STRICT, WITHOUT ROWID;
