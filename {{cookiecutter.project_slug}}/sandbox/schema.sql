-- Run on a new file, and on one written by another version of the sandbox: the mails in it are
-- only a developer's. Raise user_version with every change.
BEGIN IMMEDIATE;
DROP TABLE IF EXISTS messages;
DROP TABLE IF EXISTS suppressions;
CREATE TABLE messages (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    body TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'queued',
    repeats INTEGER NOT NULL DEFAULT 0,
    created_at TEXT NOT NULL,
    scheduled_at TEXT,
    events TEXT NOT NULL,
    idempotency_key TEXT,
    key_expires_at TEXT,
    -- Case-folded copies of what people search for, because SQLite folds ASCII only.
    sender TEXT NOT NULL,
    recipients TEXT NOT NULL,
    subject TEXT NOT NULL,
    tags TEXT NOT NULL,
    content TEXT NOT NULL
);
CREATE INDEX messages_by_key ON messages (idempotency_key);
CREATE TABLE suppressions (
    email TEXT PRIMARY KEY, -- in lower case
    reason TEXT NOT NULL,
    created_at TEXT NOT NULL
);
PRAGMA user_version = 2;
COMMIT;
