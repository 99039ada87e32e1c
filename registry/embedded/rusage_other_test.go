//go:build !unix

package embedded

import "time"

func cpuTime() time.Duration { return 0 }

func mostMemory() float64 { return 0 }
