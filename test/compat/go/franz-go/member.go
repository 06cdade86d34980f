package main

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a group member that polls in a goroutine of its own until it leaves.
type member struct {
	*inbox
	client *kgo.Client
	cancel context.CancelFunc
	done   chan struct{}
}

func (d *driver) join(c *command) error {
	m := &member{inbox: newInbox(), done: make(chan struct{})}
	balancer := kgo.RangeBalancer()
	switch c.Assignor {
	case "cooperative":
		balancer = kgo.CooperativeStickyBalancer()
	case "roundrobin":
		balancer = kgo.RoundRobinBalancer()
	}
	options := []kgo.Opt{
		kgo.SeedBrokers(splitComma(d.bootstrap)...),
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(texts(c.Topics)...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.Balancers(balancer),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(c.session()),
		kgo.HeartbeatInterval(500 * time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { m.gain(places) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { m.lose(places) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, places map[string][]int32) { m.lose(places) }),
	}
	if c.Instance != "" {
		options = append(options, kgo.InstanceID(c.Instance))
	}
	client, err := kgo.NewClient(options...)
	if err != nil {
		return err
	}
	m.client = client
	polling, cancel := context.WithCancel(context.Background())
	m.cancel = cancel
	go m.run(polling)
	d.members[c.Member] = m
	return nil
}

func (m *member) run(polling context.Context) {
	defer close(m.done)
	for polling.Err() == nil {
		fetches := m.client.PollFetches(polling)
		fetches.EachRecord(func(record *kgo.Record) { m.add(found(record)) })
	}
}

func (m *member) gain(places map[string][]int32) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for topic, partitions := range places {
		if m.assigned[topic] == nil {
			m.assigned[topic] = map[int32]bool{}
		}
		for _, partition := range partitions {
			m.assigned[topic][partition] = true
		}
	}
}

func (m *member) lose(places map[string][]int32) {
	m.lock.Lock()
	defer m.lock.Unlock()
	for topic, partitions := range places {
		for _, partition := range partitions {
			delete(m.assigned[topic], partition)
		}
	}
}

func (m *member) commit() error {
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return m.client.CommitUncommittedOffsets(limit)
}

func (m *member) leave() {
	m.cancel()
	<-m.done
	m.client.Close()
}
