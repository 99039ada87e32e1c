package logsender

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"testing"

	"github.com/kycvs/caddy-kycvs/authflow/sms"
)

func TestSend(t *testing.T) {
	var log bytes.Buffer
	s := New(slog.New(slog.NewJSONHandler(&log, nil)))
	m := sms.Message{To: "+919876543210", Text: "123456 is your code\n\n@mall.example #123456", Code: "123456", TxnID: "t1"}
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	var line map[string]string
	if err := json.Unmarshal(log.Bytes(), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	for k, want := range map[string]string{
		"level": "INFO", "msg": "text message (not sent: sms log is for trying things out)",
		"to": m.To, "message": m.Text, "code": m.Code, "txnId": m.TxnID,
	} {
		if line[k] != want {
			t.Errorf("%s is %q, want %q", k, line[k], want)
		}
	}
	if s.Name() != "log" {
		t.Errorf("Name is %q", s.Name())
	}
	if err := New(nil).Send(t.Context(), sms.Message{}); err != nil {
		t.Error(err)
	}
}
