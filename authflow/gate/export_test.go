package gate

import "time"

// Look is one round of the watcher, at a time of the test's choosing.
func (s *Streams) Look(now time.Time) int { return s.look(now) }
