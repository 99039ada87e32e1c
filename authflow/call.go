package authflow

import "time"

// call is the part of a request that comes from an Asker and is not a page's.
type call struct {
	How    string `json:"h,omitempty"`
	Txn    string `json:"x,omitempty"` // the caller's own
	Acting string `json:"a,omitempty"` // the sub-partner's id
	Relies int64  `json:"r,omitempty"` // seconds
}

func newCall(a *Audience, by Asker) *call {
	c := call{How: by.How, Txn: by.Txn, Acting: a.Acting.ID, Relies: int64(by.Relies / time.Second)}
	if c == (call{}) {
		return nil
	}
	return &c
}

// how is the way the handshake came about, for the ledger.
func (r *request) how() string {
	if r.Call == nil || r.Call.How == "" {
		return HowOTP
	}
	return r.Call.How
}

func (r *request) callerTxn() string {
	if r.Call == nil {
		return ""
	}
	return r.Call.Txn
}

// reliedOn is when nothing rests on the consent any more: when the pass has
// ended, or later, where the partner makes something of its own of the answer.
func (r *request) reliedOn(expires, now time.Time) time.Time {
	if r.Call != nil && r.Call.Relies > 0 {
		if t := now.Add(time.Duration(r.Call.Relies) * time.Second).Truncate(time.Second); t.After(expires) {
			return t
		}
	}
	return expires
}

// actingOf returns the audience of the partner acting for whom it named when the
// handshake began; TxnUnknown if that sub-partner is no longer registered.
func (f *Flow) actingOf(a *Audience, req request) (*Audience, error) {
	if req.Call == nil || req.Call.Acting == "" {
		return a, nil
	}
	to, ok := a.For(req.Call.Acting)
	if !ok {
		return nil, fail(TxnUnknown)
	}
	return to, nil
}

// NoticeByCode is the ledger's word for the notice where the text message is it:
// giving the code is then the act of consent.
const NoticeByCode = "by_code"

// NoticeByPartner is the ledger's word for the notice where the partner's program
// has shown its own, and says that the person consented.
const NoticeByPartner = "partner"

// noticeOf is which notice the person was shown.
func (f *Flow) noticeOf(a *Audience, req request) string {
	switch {
	case req.how() != HowAPI:
		return f.NoticeVersion(req.Lang)
	case a.Programs.ConsentByCode:
		return NoticeByCode
	}
	return NoticeByPartner
}
