-- When a process last reported how a choice has been doing, milliseconds since 1970; null where that was put together.
-- What is there already was reported by processes that are gone.
ALTER TABLE plugin_statistics ADD COLUMN reported_at INTEGER DEFAULT 0;
CREATE INDEX plugin_statistics_by_age ON plugin_statistics (reported_at);
