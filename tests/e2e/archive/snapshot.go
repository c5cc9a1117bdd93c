package archive

import (
	"encoding/binary"
	"fmt"
	"os"

	"go.etcd.io/bbolt"
)

// consistentIndex is the entry that a snapshot file is of.
func consistentIndex(path string) (p position, err error) {
	bytes, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	copied := path + ".look"
	defer os.Remove(copied)
	if err := os.WriteFile(copied, bytes[:len(bytes)-32], 0o600); err != nil {
		return p, err
	}
	db, err := bbolt.Open(copied, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return p, err
	}
	defer db.Close()
	return p, db.View(func(tx *bbolt.Tx) error {
		meta := tx.Bucket([]byte("meta"))
		index, term := meta.Get([]byte("consistent_index")), meta.Get([]byte("term"))
		if len(index) != 8 || len(term) != 8 {
			return fmt.Errorf("%s does not say which entry it is of", path)
		}
		p = position{binary.BigEndian.Uint64(index), binary.BigEndian.Uint64(term)}
		return nil
	})
}
