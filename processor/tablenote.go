package processor

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// tableNotes are what the committed offsets of a partition say of its tables. With
// them a task notices a changelog that is missing, empty or another one, and rows of
// another meaning. A store takes 16 bytes, in base64: all stores of a task share the
// 4096 bytes that a broker takes (offset.metadata.max.bytes).
type tableNotes struct {
	Cluster, Group digest
	tables         map[digest]tableNote // by the store's name
}

// A tableNote is the state of a store when the offsets were committed.
type tableNote struct {
	Changelog digest // the topic's id
	Meaning   digest // of the rows
	end       int64  // the changelog reached this offset at least, 0 if it never had a row
}

// A digest tells texts apart: one pair in 4,000,000,000 has the same digest.
type digest uint32

func digestOf(text string) digest { return digest(crc32.ChecksumIEEE([]byte(text))) }

func (n tableNotes) String() string {
	b := binary.BigEndian.AppendUint32(nil, uint32(n.Cluster))
	b = binary.BigEndian.AppendUint32(b, uint32(n.Group))
	for name, t := range n.tables {
		for _, d := range []digest{name, t.Changelog, t.Meaning} {
			b = binary.BigEndian.AppendUint32(b, uint32(d))
		}
		b = binary.AppendUvarint(b, uint64(t.end))
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

var errTableNotes = errors.New("what is noted of the tables cannot be read")

func parseTableNotes(text string) (tableNotes, error) {
	n := tableNotes{tables: map[digest]tableNote{}}
	b, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return n, fmt.Errorf("%w: %w", errTableNotes, err)
	}
	next := func() (d digest) {
		if len(b) < 4 {
			err, b = errTableNotes, nil
			return 0
		}
		d, b = digest(binary.BigEndian.Uint32(b)), b[4:]
		return d
	}
	n.Cluster, n.Group = next(), next()
	for err == nil && len(b) > 0 {
		name, t := next(), tableNote{Changelog: next(), Meaning: next()}
		end, size := binary.Uvarint(b)
		if size <= 0 || err != nil {
			return n, errTableNotes
		}
		t.end, b = int64(end), b[size:]
		n.tables[name] = t
	}
	return n, err
}

// tables are what the next commit notes of the task's tables. A task that is
// revoked before they are open leaves what it has found.
func (t *task) tables() string {
	if t.core == nil || len(t.stores) == 0 {
		return t.legacy.tables
	}
	n := tableNotes{Cluster: digestOf(t.processor.clusterID()), Group: digestOf(t.group.Name), tables: map[digest]tableNote{}}
	for _, k := range t.stores {
		end := k.store.Position()
		if rows := k.store.Written(); rows > 0 {
			end += int64(rows) // each is a record of the changelog by now
		}
		n.tables[digestOf(k.spec.Name)] = tableNote{Changelog: digestOf(k.replica.Source()), Meaning: digestOf(k.spec.Meaning), end: end}
	}
	return n.String()
}

// clusterID is Kafka's id, "" if it gives none.
func (p *Processor) clusterID() string {
	if id := p.cluster.Load(); id != nil {
		return *id
	}
	return ""
}
