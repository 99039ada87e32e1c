// Command caddy is Caddy with its standard modules and this project's, built
// from this repository's go.sum.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	// Plugged in by their init functions.
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/kycvs/caddy-kycvs/caddymodule"
)

func main() {
	caddycmd.Main()
}
