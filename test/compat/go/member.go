package main

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// member is a group member that polls in a goroutine of its own until it leaves.
type member struct {
	client   *kgo.Client
	cancel   context.CancelFunc
	done     chan struct{}
	lock     sync.Mutex
	assigned map[string]map[int32]bool
	records  []answer
}

func (d *driver) join(c *command) error {
	m := &member{done: make(chan struct{}), assigned: map[string]map[int32]bool{}, records: []answer{}}
	session := 6 * time.Second
	if c.SessionTimeoutMs > 0 {
		session = time.Duration(c.SessionTimeoutMs) * time.Millisecond
	}
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
		kgo.SessionTimeout(session),
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
		m.lock.Lock()
		fetches.EachRecord(func(record *kgo.Record) { m.records = append(m.records, found(record)) })
		m.lock.Unlock()
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

func (m *member) places() [][]any {
	m.lock.Lock()
	defer m.lock.Unlock()
	all := [][]any{}
	for topic, partitions := range m.assigned {
		for partition := range partitions {
			all = append(all, []any{topic, partition})
		}
	}
	sort.Slice(all, func(a, b int) bool { return all[a][1].(int32) < all[b][1].(int32) })
	return all
}

func (m *member) take() []answer {
	m.lock.Lock()
	defer m.lock.Unlock()
	taken := m.records
	m.records = []answer{}
	return taken
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
