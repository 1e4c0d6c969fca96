package processor

import (
	"encoding/json"
	"fmt"
)

// A home says whose the rows of a store on the disk are. It stands beside them.
type home struct {
	Cluster     string `json:"cluster"` // Kafka's id
	Application string `json:"application"`
	Topic       string `json:"topic"`    // the changelog, or the topic of a global table
	TopicID     string `json:"topic-id"` // it changes when the topic is made anew
	Partition   int32  `json:"partition"`
	Meaning     string `json:"meaning"` // of the rows, see topology.StateStore
}

// allPartitions is the partition of a global table.
const allPartitions = -1

func (p *Processor) home(topic, id string, partition int32, meaning string) home {
	return home{p.clusterID(), p.topology.Application(), topic, id, partition, meaning}
}

// clusterID is Kafka's id, "" if it gives none.
func (p *Processor) clusterID() string {
	if id := p.cluster.Load(); id != nil {
		return *id
	}
	return ""
}

func (h home) String() string {
	text, _ := json.Marshal(h) // strings and a number: it cannot fail
	return string(text)
}

func parseHome(text string) (h home, err error) {
	if err := json.Unmarshal([]byte(text), &h); err != nil {
		return h, fmt.Errorf("it does not say whose it is: %q", text)
	}
	return h, nil
}

// differs says why rows of another home are not those of this one, nil if they
// may be. It leaves their meaning out.
func (h home) differs(is home) error {
	switch {
	case is.Cluster != h.Cluster:
		return fmt.Errorf("it belongs to the Kafka cluster %q, and this is %q", is.Cluster, h.Cluster)
	case is.Application != h.Application:
		return fmt.Errorf("it belongs to application %q, and this is %q", is.Application, h.Application)
	case is.Topic != h.Topic:
		return fmt.Errorf("it belongs to topic %s, and this is %s", is.Topic, h.Topic)
	case is.Partition != h.Partition:
		return fmt.Errorf("it belongs to partition %d, and this is %d", is.Partition, h.Partition)
	case is.TopicID != h.TopicID:
		return fmt.Errorf("it belongs to another incarnation of topic %s", h.Topic)
	}
	return nil
}
