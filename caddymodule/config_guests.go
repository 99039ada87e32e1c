package caddymodule

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/kycvs/caddy-kycvs/authflow/ledger"
	"github.com/kycvs/caddy-kycvs/authflow/sms"
	"github.com/kycvs/caddy-kycvs/authflow/state"
	"github.com/kycvs/caddy-kycvs/registry"
	"github.com/kycvs/caddy-kycvs/registry/loading"
)

// OpenOptions is what the app tells a guest when it opens it.
type OpenOptions struct {
	Logger    *slog.Logger
	Countries []int  // country calling codes that are allowed; the first is the default
	DataDir   string // where this machine keeps what must last; the guest makes its own folder in it

	// Schedule knows the vaccines, the operator's own among them.
	Schedule registry.Schedule

	// Secrets are the operator's secrets, newest first, for a registry that keeps its
	// records sealed. Other guests are not told them.
	Secrets [][]byte
}

// RegistryModule is a guest of the namespace kycvs.registry.
//
// Loading and provisioning it must create and open nothing: `caddy validate`
// does that much. A registry that is opened is kept across configuration loads as
// long as the engine's name, its PoolKey, the countries, the vaccines and the
// secrets stay the same.
type RegistryModule interface {
	// PoolKey names what is opened, such as an absolute path; equal keys mean the
	// same thing. It is never shown.
	PoolKey() string
	// Open returns the registry. If it is an io.Closer, the app closes it.
	Open(OpenOptions) (registry.Registry, error)
}

// StoreModule is a RegistryModule whose content is loaded by `caddy kycvs import`
// and changed by `caddy kycvs erase`, rather than written by the operator.
type StoreModule interface {
	RegistryModule
	// Engine returns what changes the store. It is used once; it opens what it needs
	// when a change begins, and closes it when that change ends.
	Engine(OpenOptions) (loading.Engine, error)
}

// StateModule is a guest of the namespace kycvs.state; see RegistryModule.
type StateModule interface {
	PoolKey() string
	// Open returns the store. If it is an io.Closer, the app closes it.
	Open(OpenOptions) (state.Store, error)
}

// adjuster is a StateModule with options that count for a store that is open
// already, because an earlier configuration opened it. They are not in its
// PoolKey.
type adjuster interface{ Adjust(state.Store) }

// LedgerModule is a guest of the namespace kycvs.ledger; see RegistryModule.
type LedgerModule interface {
	PoolKey() string
	Open(OpenOptions) (ledger.Ledger, error)
}

// SenderModule is a guest of the namespace kycvs.sms. A sender keeps nothing that
// must survive a configuration load, so it is made anew by each.
type SenderModule interface {
	// Sender returns the sender. If it is an io.Closer, the app closes it.
	Sender(OpenOptions) (sms.Sender, error)
	// Trial says that the sender is for trying things out and brings no code to a phone.
	Trial() bool
}

// guestKind is one of the app's places for a guest module.
type guestKind struct {
	namespace string // "kycvs.registry"
	option    string // the word in the Caddyfile: "registry"
	key       string // the inline key in JSON: "engine"
}

var (
	registryGuest = guestKind{"kycvs.registry", "registry", "engine"}
	stateGuest    = guestKind{"kycvs.state", "state", "engine"}
	ledgerGuest   = guestKind{"kycvs.ledger", "ledger", "engine"}
	smsGuest      = guestKind{"kycvs.sms", "sms", "sender"}
)

// available lists the guests in this build.
func (k guestKind) available() []string {
	var names []string
	for _, m := range caddy.GetModules(k.namespace) {
		names = append(names, m.ID.Name())
	}
	slices.Sort(names)
	return names
}

// check returns an error unless name is a guest in this build.
func (k guestKind) check(name string) error {
	have := k.available()
	if slices.Contains(have, name) {
		return nil
	}
	return fmt.Errorf("unknown %s %q; this build has: %s; write one that it has", k.option, name, strings.Join(have, ", "))
}

// checkRaw is check for a guest in JSON form.
func (k guestKind) checkRaw(raw json.RawMessage) error {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(raw, &members); err != nil {
		return fmt.Errorf("%s is not an object: write {%q: NAME, …}, where NAME is one of: %s", k.option, k.key, strings.Join(k.available(), ", "))
	}
	var name string
	if err := json.Unmarshal(members[k.key], &name); err != nil || name == "" {
		return fmt.Errorf("%s does not say which: write %q: NAME, where NAME is one of: %s", k.option, k.key, strings.Join(k.available(), ", "))
	}
	return k.check(name)
}

// loadGuests loads the guest modules. Nothing is opened yet.
func (a *App) loadGuests(ctx caddy.Context) error {
	if a.RegistryRaw == nil && len(a.Authorities) == 0 {
		return fmt.Errorf("registry is missing: write where people's doses are found; this build has: %s", strings.Join(registryGuest.available(), ", "))
	}
	if len(a.SMSRaw) == 0 && len(a.Authorities) == 0 {
		return fmt.Errorf("sms is missing: write how codes are sent; this build has: %s", strings.Join(smsGuest.available(), ", "))
	}
	if a.StateRaw == nil {
		a.StateRaw = json.RawMessage(`{"engine":"memory"}`)
	}
	if a.LedgerRaw == nil {
		a.LedgerRaw = json.RawMessage(`{"engine":"file"}`)
	}
	if a.RegistryRaw != nil {
		if err := loadGuest(ctx, a, registryGuest, "RegistryRaw", a.RegistryRaw, &a.registry); err != nil {
			return err
		}
	}
	if err := loadGuest(ctx, a, stateGuest, "StateRaw", a.StateRaw, &a.state); err != nil {
		return err
	}
	if err := loadGuest(ctx, a, ledgerGuest, "LedgerRaw", a.LedgerRaw, &a.ledger); err != nil {
		return err
	}
	for _, raw := range a.SMSRaw {
		if err := smsGuest.checkRaw(raw); err != nil {
			return err
		}
	}
	if len(a.SMSRaw) == 0 {
		return nil
	}
	loaded, err := ctx.LoadModule(a, "SMSRaw")
	if err != nil {
		return fmt.Errorf("sms: %w", err)
	}
	for _, m := range loaded.([]any) {
		sender, ok := m.(SenderModule)
		if !ok {
			return fmt.Errorf("sms: the module %T is no SenderModule of this version: update it, or leave it out", m)
		}
		a.senders = append(a.senders, sender)
	}
	return nil
}

func loadGuest[T any](ctx caddy.Context, a *App, kind guestKind, field string, raw json.RawMessage, into *T) error {
	if err := kind.checkRaw(raw); err != nil {
		return err
	}
	loaded, err := ctx.LoadModule(a, field)
	if err != nil {
		return fmt.Errorf("%s: %w", kind.option, err)
	}
	guest, ok := loaded.(T)
	if !ok {
		return fmt.Errorf("%s: the module %T does not fit this version: update it, or leave it out", kind.option, loaded)
	}
	*into = guest
	return nil
}
