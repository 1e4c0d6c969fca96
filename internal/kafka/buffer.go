package kafka

import "github.com/IBM/sarama"

// A buffer collects the records for one partition of an output topic. It owns
// their memory.
type buffer struct {
	records []*sarama.Record
	times   []int64
	bytes   int
	slab    []sarama.Record
	memory  []byte
	room    int // bytes of a batch for the topic
}

const (
	slabRecords = 256
	memoryChunk = 32 << 10
)

func (b *buffer) copyOf(data []byte) []byte {
	if data == nil {
		return nil
	}
	if b.memory == nil || len(data) > cap(b.memory)-len(b.memory) { // what is empty is not missing
		b.memory = make([]byte, 0, max(memoryChunk, len(data)))
	}
	n := len(b.memory)
	b.memory = append(b.memory, data...)
	return b.memory[n:len(b.memory):len(b.memory)]
}

func (b *buffer) add(key, value []byte, headers []*sarama.RecordHeader, time int64) {
	if len(b.slab) == 0 {
		b.slab = make([]sarama.Record, slabRecords)
	}
	r := &b.slab[0]
	b.slab = b.slab[1:]
	r.Key, r.Value, r.Headers = b.copyOf(key), b.copyOf(value), headers
	b.records = append(b.records, r)
	b.times = append(b.times, time)
	b.bytes += recordBytes(key, value, headers)
}

// Publish writes a record before Flush returns. It copies key and value and keeps the
// headers.
func (p *Producer) Publish(topic string, partition int32, key, value []byte, headers []*sarama.RecordHeader, time int64) {
	at := place{topic, partition}
	p.mu.Lock()
	defer p.mu.Unlock()
	b := p.buffers[at]
	if b == nil {
		b = &buffer{room: p.room(topic)}
		p.buffers[at] = b
	}
	if b.bytes > 0 && b.bytes+recordBytes(key, value, headers) > b.room {
		p.queueBuffer(at, b)
		p.push()
	}
	if b.add(key, value, headers, time); len(b.records) >= batchRecords {
		p.queueBuffer(at, b)
		p.push()
	}
}

// queueBuffer queues what a buffer holds, and empties it.
func (p *Producer) queueBuffer(at place, b *buffer) {
	if len(b.records) == 0 {
		return
	}
	p.queue = append(p.queue, batch{at: at, records: b.records, times: b.times, bytes: b.bytes})
	n := len(b.records)
	b.records, b.times, b.bytes = make([]*sarama.Record, 0, n), make([]int64, 0, n), 0
}
