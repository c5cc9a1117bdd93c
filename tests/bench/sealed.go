package main

import (
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"time"

	"holdfast/tests/go/member"
)

// sealedRounds: plain and sealed in turn, and the better round of each counts.
const sealedRounds = 3

// sealedRows compare holdfast with itself: encrypted at rest, and not. etcd has nothing of the kind;
// its column is its difference from itself, that is, the noise.
func sealedRows() []row {
	return []row{{
		name: "put-sealed", work: "the put row with --encryption-key-file, beside the same without; by turns",
		figures: []figure{
			{name: "CPU, sealed to plain", unit: "×", limit: 1.1},
			{name: "rate, plain to sealed", unit: "×", limit: 1.1},
			{name: "CPU per request", unit: "µs", demand: 5},
		},
		measure: measureSealed,
	}}
}

func measureSealed(b *bench, plain *side) (values, error) {
	binary, flags := member.Etcd(), []string(nil)
	if plain.name == "holdfast" {
		keys := filepath.Join(plain.dir, "keys")
		key := make([]byte, 32)
		rand.Read(key)
		if err := os.WriteFile(keys, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
			return nil, err
		}
		binary, flags = member.Holdfast(), []string{"--encryption-key-file=" + keys}
	}
	sealed, err := startSide(plain.name+"-sealed", binary, 1, flags...)
	if err != nil {
		return nil, err
	}
	defer sealed.end()
	duration := sized(b, 4*time.Second, 2*time.Second)
	// The first figure decides which round counts: the least CPU.
	least := row{figures: []figure{{name: "CPU per request"}}}
	var best [2]values
	for range sealedRounds {
		for i, s := range []*side{plain, sealed} {
			measured, err := s.h2loadPut(duration)
			if err != nil {
				return nil, err
			}
			best[i] = least.better(best[i], measured)
		}
	}
	best[1]["CPU, sealed to plain"] = ratio(best[1]["CPU per request"], best[0]["CPU per request"])
	best[1]["rate, plain to sealed"] = ratio(best[0]["requests"], best[1]["requests"])
	return best[1], nil
}
