#!/bin/sh
# Builds ./caddy with this module, by xcaddy, and hands any further arguments
# to it:
#
#   ./xcaddy.sh                        only builds
#   ./xcaddy.sh run                    builds, then runs Caddyfile.example
#   ./xcaddy.sh run --config FILE      builds, then runs FILE
#   ./xcaddy.sh list-modules           builds, then any other command of Caddy
#
# All it needs is Go, and on the first run a module proxy. `run` without a
# --config has Caddyfile.example's directory, this one, as its working
# directory, because that file names others beside it; everything else runs in
# the directory you are in.
set -eu

fail() {
	printf 'xcaddy.sh: %s\n' "$*" >&2
	exit 1
}

start=$PWD
CDPATH='' cd -- "$(dirname -- "$0")"
root=$(pwd -P)

# --- Is there a Go, and is it new enough?

need=$(sed -n 's/^go \([0-9][0-9.]*\).*/\1/p' go.mod)
command -v go >/dev/null 2>&1 ||
	fail "there is no \`go\` on the PATH: install Go $need or newer from https://go.dev/dl/ and run this again"

# A workspace file further up would put other modules in the build.
export GOWORK=off

# Go 1.21 and newer fetch a newer toolchain on their own where that is allowed;
# where it is not, this is the command that says so.
if ! have=$(go env GOVERSION 2>&1); then
	fail "$have
Install Go $need or newer from https://go.dev/dl/, or allow \`go\` to fetch it with GOTOOLCHAIN=auto, and run this again"
fi
older() { # older A B: is version A, of which major and minor count, older than B?
	a_major=${1%%.*} a_rest=${1#*.}
	b_major=${2%%.*} b_rest=${2#*.}
	a_minor=${a_rest%%[!0-9]*} b_minor=${b_rest%%[!0-9]*}
	[ "$a_major" -lt "$b_major" ] ||
		{ [ "$a_major" -eq "$b_major" ] && [ "$a_minor" -lt "$b_minor" ]; }
}
case $have in
go[0-9]*.[0-9]*)
	if older "${have#go}" "$need"; then
		fail "this is ${have}, but go.mod asks for Go $need: install it from https://go.dev/dl/ and run this again"
	fi
	;;
esac # anything else is a development version, whose owner knows

# --- Build

module=$(go list -m)
caddy=$(go list -m -f '{{.Version}}' github.com/caddyserver/caddy/v2)

printf 'building %s/caddy: Caddy %s with %s (the first time takes some minutes)\n' "$root" "$caddy" "$module" >&2

log=$(mktemp "${TMPDIR:-/tmp}/xcaddy.XXXXXX")
trap 'rm -f "$log"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
(
	# What go.sum pins is fetched first, with its checksums, and what xcaddy then
	# asks for is taken from there: a proxy need not list versions for that.
	go mod download
	# The path as part of a URL, in a list where , and | separate.
	cache=$(go env GOMODCACHE | sed 's/%/%25/g; s/ /%20/g; s/,/%2C/g; s/|/%7C/g')
	case $cache in /*) ;; *) cache=/$cache ;; esac
	GOPROXY="file://$cache/cache/download,$(go env GOPROXY)"
	export GOPROXY
	go tool xcaddy build "$caddy" --output "$root/caddy" \
		--with "$module/caddymodule" --replace "$module=$root"
) >"$log" 2>&1 || {
	cat "$log" >&2
	fail "./caddy was not built: what went wrong stands above, mostly in its last lines"
}
rm -f "$log"
trap - EXIT INT TERM

# --- Run

case ${1-} in
'')
	[ $# -eq 0 ] && exit 0
	;;
run)
	configured=no adapted=no
	first=yes
	for arg; do
		if [ "$first" = yes ]; then
			first=no
			continue
		fi
		case $arg in
		--) break ;;
		--config | --config=*) configured=yes ;;
		--adapter | --adapter=*) adapted=yes ;;
		--*) ;;
		# One dash may carry several letters. Those of `run` that take no value are
		# e, h, r and w; c and a take the rest as theirs.
		-c* | -[ehrw]c* | -[ehrw][ehrw]c* | -[ehrw][ehrw][ehrw]c*) configured=yes ;;
		-a* | -[ehrw]a* | -[ehrw][ehrw]a* | -[ehrw][ehrw][ehrw]a*) adapted=yes ;;
		esac
	done
	if [ $configured = no ]; then
		shift
		if [ $adapted = no ]; then
			set -- --adapter caddyfile "$@"
		fi
		# What it says to whoever opens it, it says on the terminal: whom to try.
		printf '\n' >&2
		sed -n '/^#/!q; s/^# \{0,1\}//p' Caddyfile.example >&2
		printf '\n' >&2
		exec ./caddy run --config Caddyfile.example "$@"
	fi
	;;
esac

cd -- "$start"
exec "$root/caddy" "$@"
