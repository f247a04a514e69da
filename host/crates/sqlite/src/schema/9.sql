-- The version of the shop's catalogue in which a product's words last changed; 0 of what was stored before that was noted.
ALTER TABLE products ADD COLUMN worded INTEGER NOT NULL DEFAULT 0;
CREATE INDEX products_by_words ON products (tenant, worded, seq);
