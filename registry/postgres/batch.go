package postgres

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kycvs/caddy-kycvs/registry/loading"
	"github.com/kycvs/caddy-kycvs/registry/sealed"
)

// batch is one change of the store: a transaction, and connections to read what
// there was before it. While it holds the store's row nobody else changes a box.
type batch struct {
	pool      *pgxpool.Pool
	address   string
	secrets   [][]byte
	keys      *sealed.Keys
	fresh     bool   // there is no store yet
	rewrapped []byte // what kycvs_store is to hold, nil: what it holds

	mu      sync.Mutex // held while the transaction is used
	conn    *pgxpool.Conn
	tx      pgx.Tx // nil in a dry run, and once it is over
	changed int64  // rows
	erased  bool   // one of them is to leave no trace
}

// Keys are the store's.
func (b *batch) Keys() *sealed.Keys { return b.keys }

const selectBoxes = "SELECT idx, box FROM kycvs_boxes WHERE idx = ANY($1)"

// Fetch asks over a connection of its own, so that several go on while one Put
// writes. What it sees is the state before the change.
func (b *batch) Fetch(ctx context.Context, indexes []sealed.Index, boxes [][]byte) error {
	if b.fresh {
		clear(boxes[:len(indexes)])
		return nil
	}
	keys := make([][]byte, len(indexes))
	for i := range indexes {
		keys[i] = indexes[i][:]
	}
	rows, err := b.pool.Query(ctx, selectBoxes, keys)
	if err != nil {
		return &serverError{b.address, err}
	}
	defer rows.Close()
	found := make([]bool, len(indexes))
	var index, box borrowed
	for rows.Next() {
		if err := rows.Scan(&index, &box); err != nil {
			return &serverError{b.address, err}
		}
		i, known := slices.BinarySearchFunc(indexes, index, func(x sealed.Index, y borrowed) int { return bytes.Compare(x[:], y) })
		if !known {
			return errors.New("registry postgres: the server returned a row that was not asked for")
		}
		boxes[i], found[i] = append(boxes[i][:0], box...), true
	}
	if err := rows.Err(); err != nil {
		return &serverError{b.address, err}
	}
	for i := range found {
		if !found[i] {
			boxes[i] = nil
		}
	}
	return nil
}

// borrowed is a column as the connection holds it, until the next row.
type borrowed []byte

// ScanBytes is pgtype's.
func (b *borrowed) ScanBytes(v []byte) error {
	*b = v
	return nil
}

const (
	copyBoxes   = "COPY kycvs_boxes (idx, box) FROM STDIN (FORMAT binary)"
	updateBoxes = "UPDATE kycvs_boxes b SET box = s.box FROM unnest($1::bytea[], $2::bytea[]) AS s (idx, box) WHERE b.idx = s.idx"
	deleteBoxes = "DELETE FROM kycvs_boxes WHERE idx = ANY($1)"
)

// Put copies what is new in one stream, and changes the rest a thousand rows at a
// time. Several Puts at once wait for each other: a transaction has one connection.
func (b *batch) Put(ctx context.Context, part loading.Part) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(part.Rows) == 0 {
		return nil
	}
	if b.tx == nil {
		return errOver
	}
	if err := b.insert(ctx, part.Rows); err != nil {
		return err
	}
	if err := b.change(ctx, part.Rows); err != nil {
		return err
	}
	b.changed += int64(len(part.Rows))
	b.erased = b.erased || slices.ContainsFunc(part.Rows, func(r loading.Row) bool { return r.Erase })
	return nil
}

var errOver = errors.New("registry postgres: this change is over")

func (b *batch) insert(ctx context.Context, rows []loading.Row) error {
	stream := newCopyStream(rows)
	if stream.count == 0 {
		return nil
	}
	did, err := b.conn.Conn().PgConn().CopyFrom(ctx, stream, copyBoxes)
	return b.all(did, err, stream.count)
}

// all makes an error of a statement that did not change as many rows as it should.
func (b *batch) all(did pgconn.CommandTag, err error, rows int64) error {
	if err != nil {
		return &serverError{b.address, err}
	}
	if did.RowsAffected() != rows {
		return errLost
	}
	return nil
}

var errLost = errors.New("registry postgres: rows went missing while they were written: did something else write to kycvs_boxes? Nothing was changed; run it again")

func (b *batch) change(ctx context.Context, rows []loading.Row) error {
	var changed, boxes, gone [][]byte
	flush := func(atLeast int) error {
		if n := len(changed); n >= atLeast && n > 0 {
			did, err := b.tx.Exec(ctx, updateBoxes, changed, boxes)
			if err := b.all(did, err, int64(n)); err != nil {
				return err
			}
			changed, boxes = changed[:0], boxes[:0]
		}
		if n := len(gone); n >= atLeast && n > 0 {
			did, err := b.tx.Exec(ctx, deleteBoxes, gone)
			if err := b.all(did, err, int64(n)); err != nil {
				return err
			}
			gone = gone[:0]
		}
		return nil
	}
	for i := range rows {
		switch r := &rows[i]; {
		case r.Box == nil:
			gone = append(gone, r.Index[:])
		case !r.New:
			changed, boxes = append(changed, r.Index[:]), append(boxes, r.Box)
		default:
			continue
		}
		if err := flush(1024); err != nil {
			return err
		}
	}
	return flush(0)
}

const (
	writeStore = "UPDATE kycvs_store SET wrapped = COALESCE($1, wrapped), numbers = numbers + $2, people = people + $3, doses = doses + $4, changed = $5 WHERE one"
	// Without it a query that a running instance has planned for a small table goes
	// on reading a large one from end to end, until autovacuum comes by.
	analyzeBoxes = "ANALYZE kycvs_boxes"
	analyzeFrom  = 1000 // rows changed
	// The index may keep its entries, which are no secret: going through all of it
	// takes minutes for a nation.
	vacuumBoxes = "VACUUM (INDEX_CLEANUP OFF, TRUNCATE OFF) kycvs_boxes"
	vacuumFor   = 30 * time.Second
)

// Commit ends the transaction. Where the server dies meanwhile it can be that
// nobody knows whether it took effect; the error says so, and doing it again does
// no harm.
func (b *batch) Commit(ctx context.Context, change loading.Change) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tx == nil {
		return errOver
	}
	if b.changed == 0 && (b.fresh || b.rewrapped == nil) {
		b.end()
		return nil
	}
	if _, err := b.tx.Exec(ctx, writeStore, b.rewrapped, change.Numbers, change.People, change.Doses, time.Now()); err != nil {
		return &serverError{b.address, err}
	}
	if b.changed >= analyzeFrom {
		if _, err := b.tx.Exec(ctx, analyzeBoxes); err != nil {
			return &serverError{b.address, err}
		}
	}
	if err := b.tx.Commit(ctx); err != nil {
		err = error(&serverError{b.address, err})
		if _, said := sqlState(err); !said {
			err = fmt.Errorf("%w: it is not known whether the change took effect: run it again, which does no harm", err)
		}
		b.end()
		return err
	}
	b.tx = nil
	if b.erased {
		b.vacuum(ctx)
	}
	b.end()
	return nil
}

// vacuum removes from the table what an erasure left in it, where nobody can read
// it but off the disk. Where that is not allowed, not known or takes too long,
// autovacuum does it later.
func (b *batch) vacuum(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, vacuumFor)
	defer cancel()
	_, _ = b.conn.Exec(ctx, vacuumBoxes)
}

// Abort rolls back what was not committed.
func (b *batch) Abort() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
	return nil
}

// end rolls back and disconnects.
func (b *batch) end() {
	if b.tx != nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		b.tx.Rollback(ctx) // what fails here, the server does by itself once we are gone
		b.tx = nil
	}
	if b.conn != nil {
		b.conn.Release()
		b.conn = nil
	}
	b.pool.Close()
}

// shown makes an error of pgx's one that may be shown; ours it leaves alone.
func (b *batch) shown(err error) error {
	var e *serverError
	if errors.As(err, &e) {
		e.address = b.address
	}
	return err
}
