package redis

import (
	"context"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// serverClock knows what time it is at the server, by what the server said last.
// Each step says until when it is of use; one that comes later does nothing and
// is answered with the server's time. That is how the clock is first learned, and
// learned again when the server's was set or another server has taken over.
type serverClock struct {
	opened time.Time    // of this process's monotonic clock
	ahead  atomic.Int64 // the server's milliseconds since the epoch when opened; 0: not known
}

// clockSlack is what the clock may be wrong by: the way of an answer, and what the
// clocks of a cluster's servers differ by.
const clockSlack = 100 * time.Millisecond

// at returns the server's time when ctx ends, in milliseconds; 1, which is over,
// if it is not known.
func (c *serverClock) at(ctx context.Context) int64 {
	ahead := c.ahead.Load()
	if ahead == 0 {
		return 1
	}
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now()
	}
	return ahead + (end.Sub(c.opened) + clockSlack).Milliseconds()
}

// learn takes the time from the error of a step that came too late.
func (c *serverClock) learn(said string) bool {
	_, digits, _ := strings.Cut(said, late+" ")
	t, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || t <= 0 || t > 1<<52 {
		return false
	}
	c.ahead.Store(t - time.Since(c.opened).Milliseconds())
	return true
}
