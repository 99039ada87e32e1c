package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// authority is the API, as far as the shop needs it (docs: /openapi.json at the
// authority). Only this program ever sees the key.
type authority struct {
	base, key string
	client    *http.Client
}

func newAuthority(base, key string) *authority {
	return &authority{base, key, &http.Client{Timeout: 10 * time.Second}}
}

// refused is an answer that is no success.
type refused struct {
	Status  int    `json:"-"`
	Code    string `json:"code"`
	Message string `json:"error"`
}

func (r *refused) Error() string { return fmt.Sprintf("the authority said %d %s", r.Status, r.Code) }

func (a *authority) call(ctx context.Context, method, path string, header [2]string, in, out any) error {
	var body io.Reader
	if in != nil {
		raw, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, body)
	if err != nil {
		return err
	}
	req.Header.Set(header[0], header[1])
	req.Header.Set("Accept", "application/json")
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := a.client.Do(req)
	if err != nil {
		return errors.New("the authority does not answer")
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return errors.New("the authority broke off")
	}
	if resp.StatusCode != http.StatusOK {
		r := &refused{Status: resp.StatusCode}
		_ = json.Unmarshal(raw, r) // where it is no JSON the status says enough
		return r
	}
	return json.Unmarshal(raw, out)
}

func (a *authority) withKey() [2]string { return [2]string{"x-api-key", a.key} }

// generateOTP has a code sent to a traveller. txn is the shop's own word for the
// order, so that several travellers' checks belong together.
func (a *authority) generateOTP(ctx context.Context, mobile, name, txn string) (txnID string, err error) {
	var out struct {
		TxnID string `json:"txnId"`
	}
	err = a.call(ctx, "POST", "/api/v3/vaccination/generateOTP", a.withKey(),
		map[string]string{"mobile_number": mobile, "full_name": name, "consent": "Y", "txn": txn}, &out)
	return out.TxnID, err
}

func (a *authority) confirmOTP(ctx context.Context, txnID, code string) (token string, err error) {
	var out struct {
		Token string `json:"token"`
	}
	err = a.call(ctx, "POST", "/api/v3/vaccination/confirmOTP", a.withKey(), map[string]string{"txnId": txnID, "otp": code}, &out)
	return out.Token, err
}

// answer is what status and redeem answer. The bare number is there for
// programs that trust the connection; this one goes by what is signed.
type answer struct {
	Status    int    `json:"vaccination_status"`
	Assertion string `json:"assertion"`
}

func (a *authority) status(ctx context.Context, token string) (out answer, err error) {
	err = a.call(ctx, "GET", "/api/v3/vaccination/status", [2]string{"Authorization", "Bearer " + token}, nil, &out)
	return out, err
}

// redeem exchanges the code that a redirect brought.
func (a *authority) redeem(ctx context.Context, code string) (out answer, err error) {
	err = a.call(ctx, "POST", "/api/v3/vaccination/redeem", a.withKey(), map[string]string{"code": code}, &out)
	return out, err
}
