package caddymodule

import (
	"fmt"
	"io"
	"reflect"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/certmagic"
)

// pool holds what must survive a configuration load: stores, ledgers, keys,
// what is remembered. Each is under a key that an edit of the rest of the
// configuration does not change.
var pool = caddy.NewUsagePool()

// pooledValue is closed when the last configuration that uses it has gone.
type pooledValue struct{ value any }

func (p pooledValue) Destruct() error {
	switch c := p.value.(type) {
	case io.Closer:
		return c.Close()
	case interface{ Close() }:
		c.Close()
	}
	return nil
}

// pooled returns what is in the pool under key, made by open if there is
// nothing yet, and has the app give it back when it stops.
func pooled[T any](a *App, key string, open func() (T, error)) (T, error) {
	v, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) {
		value, err := open()
		if err != nil {
			_ = pooledValue{value}.destructIfAny()
			return nil, err
		}
		return pooledValue{value}, nil
	})
	if err != nil {
		var none T
		return none, err
	}
	a.run.releases = append(a.run.releases, func() {
		if _, err := pool.Delete(key); err != nil {
			a.run.logger.Error("closing failed", "error", err)
		}
	})
	return v.(pooledValue).value.(T), nil
}

// destructIfAny closes what open returned beside an error.
func (p pooledValue) destructIfAny() error {
	if v := reflect.ValueOf(p.value); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		return nil
	}
	return p.Destruct()
}

func guestName(guest any) string {
	if m, ok := guest.(caddy.Module); ok {
		return string(m.CaddyModule().ID)
	}
	return fmt.Sprintf("%T", guest)
}

// storageName tells one storage from another, for the pool alone.
func storageName(s certmagic.Storage) string {
	if n, ok := s.(fmt.Stringer); ok {
		return n.String()
	}
	return fmt.Sprintf("%T %v", s, s)
}
