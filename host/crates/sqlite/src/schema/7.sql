-- Products change and go.

-- Grows with every change of the product.
ALTER TABLE products ADD COLUMN revision INTEGER NOT NULL DEFAULT 1;

-- Without a reference to products, for which each deletion of a product would go through all fields of all products.
CREATE TABLE fields_of_products (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    value   ANY NOT NULL,        -- as before; a text that is a date is one more value: x'02' and its moment
    product INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, value, product)
) STRICT, WITHOUT ROWID;
INSERT INTO fields_of_products SELECT tenant, name, value, product FROM fields;
DROP TABLE fields;
ALTER TABLE fields_of_products RENAME TO fields;

CREATE INDEX vectors_of_product ON vectors (product);

-- Counts the changes of `words` that are no new last row: what was remembered of its rows before is wrong.
CREATE TABLE words_age (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    age  INTEGER NOT NULL
) STRICT;
INSERT INTO words_age (only, age) VALUES (1, 0);
