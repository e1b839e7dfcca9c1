package filestore

import (
	"context"
	"database/sql"
	"fmt"
)

// migrations lead from one schema version (PRAGMA user_version) to the next.
// One that was released is never edited: a change is a new one at the end.
func migrations() []string {
	return []string{
		`CREATE TABLE IF NOT EXISTS state (
  partition TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, etag INTEGER NOT NULL,
  PRIMARY KEY (partition, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS etags (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO etags VALUES (1, 0);
CREATE TABLE IF NOT EXISTS queue (
  id INTEGER PRIMARY KEY AUTOINCREMENT, queue TEXT NOT NULL, body BLOB NOT NULL,
  inserted INTEGER NOT NULL, visible INTEGER NOT NULL, dequeued INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS queue_visible ON queue (queue, visible);
CREATE TABLE IF NOT EXISTS log (
  log TEXT NOT NULL, at INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (log, at));`,

		// The length and the blocks of a log, so that an append does not count them.
		`CREATE TABLE logs (log TEXT PRIMARY KEY, size INTEGER NOT NULL, blocks INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO logs SELECT log, MAX(at + LENGTH(data)), COUNT(*) FROM log GROUP BY log;`,
	}
}

// migrate brings the schema up to date in one transaction, so that of several
// processes that open a file at once one does it, and a crash leaves the old
// schema. A file from a newer program is refused: what it added would be lost.
func migrate(ctx context.Context, c *sql.Conn) error {
	if _, err := c.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	err := upgrade(ctx, c)
	if err == nil {
		_, err = c.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		_, _ = c.ExecContext(ctx, "ROLLBACK") // the error above says why
	}
	return err
}

func upgrade(ctx context.Context, c *sql.Conn) error {
	steps := migrations()
	var have int
	if err := c.QueryRowContext(ctx, "PRAGMA user_version").Scan(&have); err != nil {
		return err
	}
	if have > len(steps) {
		return fmt.Errorf("it has schema %d and this program knows %d: use the newer program that wrote it", have, len(steps))
	}
	for i, step := range steps[have:] {
		if _, err := c.ExecContext(ctx, step); err != nil {
			return fmt.Errorf("schema %d: %w", have+i+1, err)
		}
	}
	if have == len(steps) {
		return nil
	}
	_, err := c.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version=%d", len(steps)))
	return err
}
