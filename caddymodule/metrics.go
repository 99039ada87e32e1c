package caddymodule

import (
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kycvs/caddy-kycvs/authflow"
	"github.com/kycvs/caddy-kycvs/authflow/api"
	"github.com/kycvs/caddy-kycvs/authflow/gate"
)

// collectors are the metrics of contract section 9. There is one set in a
// process, so that a configuration load loses no count; each load registers it
// with that load's registry. Labels come from closed sets.
type collectors struct {
	gates      *prometheus.CounterVec
	cuts       *prometheus.CounterVec
	handshakes *prometheus.CounterVec
	sms        *prometheus.CounterVec
	limits     *prometheus.CounterVec
	lookup     prometheus.Histogram
	signed     prometheus.Counter
	api        *prometheus.CounterVec

	decisions [gate.Decisions]prometheus.Counter // of gates, looked up once
}

var metrics = sync.OnceValue(func() *collectors {
	const ns, sub = "caddy", "kycvs"
	c := &collectors{
		gates: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "gate_requests_total",
			Help: "Requests that reached a gate, by what became of them.",
		}, []string{"decision"}),
		cuts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "streams_cut_total",
			Help: "Requests under way that were cut because their pass had ended, by why it had.",
		}, []string{"reason"}),
		handshakes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "handshakes_total",
			Help: "Steps of handshakes, by how they ended.",
		}, []string{"outcome"}),
		sms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "sms_total",
			Help: "Text messages handed to a sender, by outcome.",
		}, []string{"sender", "outcome"}),
		limits: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "limits_total",
			Help: "Requests beyond a limit, by whether it was refused for that or recorded only.",
		}, []string{"limit", "action"}),
		lookup: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: ns, Subsystem: sub, Name: "registry_lookup_seconds",
			Help:    "How long the registry took to answer.",
			Buckets: prometheus.ExponentialBuckets(1e-6, 4, 12),
		}),
		signed: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "assertions_signed_total",
			Help: "Assertions signed.",
		}),
		api: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: ns, Subsystem: sub, Name: "api_requests_total",
			Help: "Calls of partners' programs, by how they ended.",
		}, []string{"call", "outcome"}),
	}
	for d := range c.decisions {
		c.decisions[d] = c.gates.WithLabelValues(gate.Decision(d).String())
	}
	return c
})

func (c *collectors) register(r *prometheus.Registry) error {
	for _, m := range []prometheus.Collector{c.gates, c.cuts, c.handshakes, c.sms, c.limits, c.lookup, c.signed, c.api} {
		var already prometheus.AlreadyRegisteredError
		if err := r.Register(m); err != nil && !errors.As(err, &already) {
			return err
		}
	}
	return nil
}

func (c *collectors) Gate(d gate.Decision)     { c.decisions[d].Inc() }
func (c *collectors) Cut(e gate.Ending)        { c.cuts.WithLabelValues(e.String()).Inc() }
func (c *collectors) Handshake(outcome string) { c.handshakes.WithLabelValues(outcome).Inc() }
func (c *collectors) Limit(name string, refused bool) {
	action := "recorded"
	if refused {
		action = "refused"
	}
	c.limits.WithLabelValues(name, action).Inc()
}
func (c *collectors) Lookup(took time.Duration)  { c.lookup.Observe(took.Seconds()) }
func (c *collectors) Signed()                    { c.signed.Inc() }
func (c *collectors) API(call, outcome string)   { c.api.WithLabelValues(call, outcome).Inc() }
func (c *collectors) SMS(sender, outcome string) { c.sms.WithLabelValues(sender, outcome).Inc() }

var (
	_ authflow.Observer = (*collectors)(nil)
	_ gate.Observer     = (*collectors)(nil)
	_ api.Observer      = (*collectors)(nil)
)
