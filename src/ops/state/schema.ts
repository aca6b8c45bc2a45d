// The state file's schema: one step a version, only ever added to, so that every older file can be brought up.

/** `MIGRATIONS[n]` takes a file from version n (SQLite's user_version) to n + 1. Times are UTC milliseconds. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;

  -- What Telegram handed us: kept 48 h, so that no update is ever handled twice.
  CREATE TABLE inbox (
    update_id INTEGER PRIMARY KEY,
    received_at INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'started', 'done')),
    request TEXT NOT NULL
  ) STRICT;
  CREATE INDEX inbox_unfinished ON inbox (update_id) WHERE state <> 'done';

  CREATE TABLE alerts (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    card_id INTEGER,
    memory TEXT NOT NULL
  ) STRICT;
  CREATE TABLE mutes (subject TEXT PRIMARY KEY, until INTEGER NOT NULL, by TEXT NOT NULL) STRICT;
  CREATE TABLE samples (key TEXT, at INTEGER, value REAL NOT NULL, PRIMARY KEY (key, at)) STRICT, WITHOUT ROWID;

  -- A card is facts and a revision; a copy is a card in one chat.
  CREATE TABLE cards (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    audience TEXT NOT NULL,
    revision INTEGER NOT NULL DEFAULT 1,
    facts TEXT NOT NULL,
    ring INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    due_at INTEGER NOT NULL,
    join_key TEXT,
    join_until INTEGER,
    answers_card INTEGER,
    answers_revision INTEGER,
    addressed INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE INDEX cards_unaddressed ON cards (id) WHERE addressed = 0;
  CREATE INDEX cards_joinable ON cards (join_key, join_until) WHERE join_key IS NOT NULL;
  CREATE TABLE copies (
    card_id INTEGER NOT NULL REFERENCES cards (id) ON DELETE CASCADE,
    chat_id INTEGER NOT NULL,
    message_id INTEGER,
    revision INTEGER NOT NULL DEFAULT 0,
    first_revision INTEGER,
    due_at INTEGER NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0,
    dead TEXT,
    PRIMARY KEY (card_id, chat_id)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE chats (
    id INTEGER PRIMARY KEY,
    moved_to INTEGER,
    closed TEXT,
    closed_at INTEGER
  ) STRICT;

  -- Append only. A deed is an intent row and, once it ended, the outcome row that names it.
  CREATE TABLE audit (
    id INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    phase TEXT NOT NULL CHECK (phase IN ('intent', 'outcome', 'note')),
    action TEXT NOT NULL,
    detail TEXT NOT NULL,
    resource TEXT,
    intent_id INTEGER UNIQUE REFERENCES audit (id),
    result TEXT
  ) STRICT;

  CREATE TABLE jobs (
    name TEXT PRIMARY KEY,
    due_at INTEGER,
    started_at INTEGER,
    finished_at INTEGER,
    result TEXT,
    message TEXT
  ) STRICT;
  `,
  `
  -- A runbook on its way: what a later start needs to say how far it came. The deed is its intent row in the audit.
  CREATE TABLE runs (
    deed_id INTEGER PRIMARY KEY REFERENCES audit (id),
    card_id INTEGER NOT NULL,
    runbook TEXT NOT NULL,
    context TEXT NOT NULL,
    ended_at INTEGER
  ) STRICT;
  CREATE TABLE steps (
    deed_id INTEGER NOT NULL REFERENCES runs (deed_id),
    position INTEGER NOT NULL,
    name TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'running', 'done', 'failed', 'undone')),
    note TEXT,
    started_at INTEGER,
    ended_at INTEGER,
    PRIMARY KEY (deed_id, position)
  ) STRICT, WITHOUT ROWID;
  `,
]
