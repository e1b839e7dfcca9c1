package filestore

import (
	"context"
	"database/sql"
	"errors"
)

// statements are the writer's, prepared once.
type statements struct {
	etag, insert, replace, remove *sql.Stmt
	put, take, done               *sql.Stmt
	logSize, logGrow, logAdd      *sql.Stmt
}

const logSizeQuery = `SELECT size, blocks FROM logs WHERE log=?`

// prepare prepares all statements on the connection.
func prepare(ctx context.Context, c *sql.Conn) (statements, error) {
	var s statements
	for _, p := range []struct {
		stmt **sql.Stmt
		text string
	}{
		{&s.etag, `UPDATE etags SET last=last+? RETURNING last`},
		{&s.insert, `INSERT INTO state (value, etag, partition, key) VALUES (?,?,?,?) ON CONFLICT DO NOTHING`},
		{&s.replace, `UPDATE state SET value=?, etag=? WHERE partition=? AND key=? AND etag=?`},
		{&s.remove, `DELETE FROM state WHERE partition=? AND key=? AND etag=?`},
		{&s.put, `INSERT INTO queue (queue, body, inserted, visible) VALUES (?,?,?,?)`},
		{&s.take, `UPDATE queue SET visible=?, dequeued=dequeued+1 WHERE id IN
			(SELECT id FROM queue WHERE queue=? AND visible<=? ORDER BY visible, id LIMIT ?) RETURNING id, body, inserted, dequeued`},
		{&s.done, `DELETE FROM queue WHERE queue=? AND id=? AND dequeued=?`},
		{&s.logSize, logSizeQuery},
		{&s.logGrow, `INSERT INTO logs VALUES (?,?,1) ON CONFLICT DO UPDATE SET size=excluded.size, blocks=blocks+1`},
		{&s.logAdd, `INSERT INTO log (log, at, data) VALUES (?,?,?)`},
	} {
		stmt, err := c.PrepareContext(ctx, p.text) //nolint:sqlclosecheck // kept for the store's life; close closes them all
		if err != nil {
			return s, errors.Join(err, s.close())
		}
		*p.stmt = stmt
	}
	return s, nil
}

func (s statements) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{s.etag, s.insert, s.replace, s.remove, s.put, s.take, s.done, s.logSize, s.logGrow, s.logAdd} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	return errors.Join(errs...)
}
