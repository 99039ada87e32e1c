package csvfile

import (
	"os"
	"time"
)

// watch looks at the file until the registry is closed, and reads it when it is
// another one than the one read last and does not change any more.
//
// Looking is all that works everywhere: on network and container mounts, with
// files that are replaced, and with links that are turned.
func (r *Registry) watch() {
	ticker := time.NewTicker(r.config.PollEvery)
	defer ticker.Stop()
	var last look    // what the look before saw
	missing := false // said so already
	for {
		select {
		case <-r.closing.Done():
			return
		case <-ticker.C:
		}
		info, err := os.Stat(r.config.Path)
		if err != nil {
			if !missing {
				r.config.Logger.Error("registry csv: the file cannot be read, its last content still counts", "error", err, "people", r.People())
			}
			missing, last = true, look{}
			continue
		}
		missing = false
		now := newLook(info)
		if now.same(last) {
			r.update(now)
		}
		last = now
	}
}

// update reads the file unless it is the one that was read last, and that one
// once more if it was fresh then.
func (r *Registry) update(now look) {
	r.mu.Lock()
	defer r.mu.Unlock()
	again := now.same(r.seen)
	if again && (!r.seen.fresh || now.fresh) {
		return
	}
	before := r.People()
	switch changed, err := r.reload(r.closing); {
	case r.closing.Err() != nil:
	case err != nil:
		r.seen = now
		if again { // was said
			return
		}
		r.config.Logger.Error("registry csv: the changed file is refused, the old content still counts", "error", err, "people", before)
	case changed:
		r.config.Logger.Info("registry csv: the file changed and was read again", "file", r.config.Path, "people", r.People(), "people_before", before)
	}
}

// look is the file as it was seen once.
type look struct {
	info os.FileInfo // nil where nothing was seen
	// fresh says that the file was written so shortly before that another change
	// might not show in its time: one tick of the clock of a coarse file system.
	fresh bool
}

func newLook(info os.FileInfo) look {
	return look{info: info, fresh: time.Since(info.ModTime()).Abs() < 2*time.Second}
}

// same reports whether two looks saw one file with one content, as far as the
// file system can tell.
func (a look) same(b look) bool {
	return a.info != nil && b.info != nil && os.SameFile(a.info, b.info) &&
		a.info.Size() == b.info.Size() && a.info.ModTime().Equal(b.info.ModTime())
}
