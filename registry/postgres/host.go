package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// host is one server of the DSN, with its connections and what is known of its
// health. Lookups keep away from one that failed until a connection of the
// watcher's own has found it well again, so that nobody waits for a dead server
// more than once.
type host struct {
	address string
	pool    *pgxpool.Pool
	probe   *pgx.ConnConfig // for a connection outside the pool, which may be full
	down    atomic.Bool
	standby atomic.Bool // as of the last connection made to it
}

func newHost(c *pgxpool.Config) (*host, error) {
	h := &host{address: address(c), probe: c.ConnConfig.Copy()}
	c.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error { return h.learnRole(ctx, conn) }
	pool, err := pgxpool.NewWithConfig(context.Background(), c) // connects when first asked
	if err != nil {
		return nil, &serverError{h.address, err}
	}
	h.pool = pool
	return h, nil
}

// learnRole notes whether the server is a standby. Since PostgreSQL 14 it says so
// by itself.
func (h *host) learnRole(ctx context.Context, conn *pgx.Conn) error {
	if s := conn.PgConn().ParameterStatus("in_hot_standby"); s != "" {
		h.standby.Store(s == "on")
		return nil
	}
	var recovering bool
	err := conn.QueryRow(ctx, "SELECT pg_is_in_recovery()", pgx.QueryExecModeExec).Scan(&recovering)
	var said *pgconn.PgError
	if errors.As(err, &said) { // something that only speaks PostgreSQL's protocol
		recovering, err = false, nil
	}
	h.standby.Store(recovering)
	return err
}

// ask makes a connection of its own and says what keeps the server from
// answering, nil if nothing.
func (h *host) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.probe.ConnectTimeout)
	defer cancel()
	conn, err := pgx.ConnectConfig(ctx, h.probe)
	if err != nil {
		return &serverError{h.address, err}
	}
	defer conn.Close(ctx)
	if err := h.learnRole(ctx, conn); err != nil {
		return &serverError{h.address, err}
	}
	return nil
}

// hosts are all servers of the DSN.
type hosts struct {
	all           []*host
	preferStandby bool
	failed        chan struct{} // wakes the watcher
}

// inOrder appends the servers to dst in the order to try them: those that are well
// before those that failed, standbys first if they are preferred, otherwise as the
// DSN has them. A single server stands twice: its first connection may be one that
// a restart has broken.
func (hs *hosts) inOrder(dst []*host) []*host {
	if len(hs.all) == 1 {
		return append(dst, hs.all[0], hs.all[0])
	}
	start := len(dst)
	for _, h := range hs.all { // two or three: a stable insertion sort
		dst = append(dst, h)
		for i := len(dst) - 1; i > start && hs.rank(dst[i]) < hs.rank(dst[i-1]); i-- {
			dst[i], dst[i-1] = dst[i-1], dst[i]
		}
	}
	return dst
}

func (hs *hosts) rank(h *host) (rank int) {
	if h.down.Load() {
		rank += 2
	}
	if hs.preferStandby && !h.standby.Load() {
		rank++
	}
	return rank
}

// fail keeps lookups away from a server until it is found well. What broke one of
// its connections has likely broken all, and they are closed; one that is only slow
// keeps them, so as not to be slower still.
func (hs *hosts) fail(h *host, err error) (first bool) {
	if !h.down.CompareAndSwap(false, true) {
		return false
	}
	if !pgconn.Timeout(err) && !errors.Is(err, context.DeadlineExceeded) {
		h.pool.Reset()
	}
	select {
	case hs.failed <- struct{}{}:
	default:
	}
	return true
}

// probeEvery is how often a server that failed is asked whether it is well.
const probeEvery = time.Second

// watch asks the servers that failed until they are well again. found is told.
func (hs *hosts) watch(ctx context.Context, found func(*host)) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-hs.failed: // it may have been a moment's trouble
		case <-tick.C:
		}
		for _, h := range hs.all {
			if h.down.Load() && h.ask(ctx) == nil {
				h.down.Store(false)
				found(h)
			}
		}
	}
}

func (hs *hosts) close() {
	for _, h := range hs.all {
		h.pool.Close()
	}
}
