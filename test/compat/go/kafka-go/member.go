package main

import (
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// member is a group member that reads in goroutines of its own until it leaves.
type member struct {
	*inbox
	group   *kafka.ConsumerGroup
	cancel  context.CancelFunc
	done    chan struct{}
	current sync.Mutex
	joined  *kafka.Generation
	read    map[string]map[int]int64
}

// join answers that kafka-go has neither static members nor the cooperative protocol.
func (d *driver) join(c *command) (answer, error) {
	if c.Instance != "" || c.Assignor == "cooperative" {
		return unsupported, nil
	}
	var balancer kafka.GroupBalancer = kafka.RangeGroupBalancer{}
	if c.Assignor == "roundrobin" {
		balancer = kafka.RoundRobinGroupBalancer{}
	}
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID: c.Group, Brokers: []string{d.bootstrap}, Topics: texts(c.Topics),
		GroupBalancers: []kafka.GroupBalancer{balancer}, HeartbeatInterval: 500 * time.Millisecond,
		SessionTimeout: c.session(), StartOffset: kafka.FirstOffset, JoinGroupBackoff: 200 * time.Millisecond,
	})
	if err != nil {
		return nil, err
	}
	polling, cancel := context.WithCancel(context.Background())
	m := &member{inbox: newInbox(), group: group, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for polling.Err() == nil {
			if generation, err := group.Next(polling); err == nil {
				m.begin(d, generation)
			}
		}
	}()
	d.members[c.Member] = m
	return answer{}, nil
}

func (m *member) begin(d *driver, generation *kafka.Generation) {
	m.current.Lock()
	m.joined, m.read = generation, map[string]map[int]int64{}
	m.current.Unlock()
	assigned := map[string][]int32{}
	for topic, places := range generation.Assignments {
		for _, place := range places {
			assigned[topic] = append(assigned[topic], int32(place.ID))
			generation.Start(func(limit context.Context) { m.readFrom(limit, d, generation, topic, place) })
		}
	}
	m.assign(assigned)
	generation.Start(func(limit context.Context) {
		<-limit.Done()
		m.assign(nil)
	})
}

func (m *member) readFrom(limit context.Context, d *driver, generation *kafka.Generation, topic string, place kafka.PartitionAssignment) {
	reader, err := d.reader(topic, place.ID, place.Offset)
	if err != nil {
		panic(err)
	}
	defer reader.Close()
	for {
		message, err := reader.ReadMessage(limit)
		if err != nil {
			return
		}
		m.add(found(message))
		m.current.Lock()
		if m.joined == generation {
			if m.read[topic] == nil {
				m.read[topic] = map[int]int64{}
			}
			m.read[topic][place.ID] = message.Offset + 1
		}
		m.current.Unlock()
	}
}

func (m *member) commit() error {
	m.current.Lock()
	defer m.current.Unlock()
	return m.joined.CommitOffsets(m.read)
}

func (m *member) leave() error {
	m.cancel()
	<-m.done
	return m.group.Close()
}
