// Drives sarama for the compatibility tests.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/IBM/sarama"
)

type driver struct {
	bootstrap string
	client    sarama.Client
	admin     sarama.ClusterAdmin
	members   map[string]*member
}

func newConfig() *sarama.Config {
	config := sarama.NewConfig()
	config.Version = sarama.MaxVersion
	config.ClientID = "compat"
	return config
}

func main() {
	client, err := sarama.NewClient([]string{os.Args[1]}, newConfig())
	if err != nil {
		panic(err)
	}
	admin, err := sarama.NewClusterAdminFromClient(client)
	if err != nil {
		panic(err)
	}
	d := &driver{os.Args[1], client, admin, map[string]*member{}}
	serve(d.run)
}

// errorName gives Kafka's name of an error.
func errorName(err error) any {
	if err == nil {
		return nil
	}
	var code sarama.KError
	if errors.As(err, &code) {
		return protocolName(int(code))
	}
	return err.Error()
}

func (d *driver) run(c *command) (answer, error) {
	switch c.Do {
	case "produce":
		return d.produce(c)
	case "consume":
		return d.consume(c)
	case "join":
		return answer{}, d.join(c)
	case "assignment":
		return answer{"partitions": d.members[c.Member].assignment()}, nil
	case "take":
		return answer{"records": d.members[c.Member].take()}, nil
	case "commit":
		return answer{}, d.members[c.Member].commit()
	case "leave":
		m := d.members[c.Member]
		delete(d.members, c.Member)
		return answer{}, m.leave()
	}
	return d.serveAdmin(c)
}

// member is a group member that reads in goroutines of its own until it leaves.
type member struct {
	*inbox
	group   sarama.ConsumerGroup
	cancel  context.CancelFunc
	done    chan struct{}
	session sarama.ConsumerGroupSession
}

func (d *driver) join(c *command) error {
	config := newConfig()
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = c.session()
	config.Consumer.Group.Heartbeat.Interval = 500 * time.Millisecond
	config.Consumer.Group.InstanceId = c.Instance
	balance := sarama.NewBalanceStrategyRange()
	switch c.Assignor {
	case "cooperative":
		balance = sarama.NewBalanceStrategyCooperativeSticky()
	case "roundrobin":
		balance = sarama.NewBalanceStrategyRoundRobin()
	}
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{balance}
	group, err := sarama.NewConsumerGroup([]string{d.bootstrap}, c.Group, config)
	if err != nil {
		return err
	}
	polling, cancel := context.WithCancel(context.Background())
	m := &member{inbox: newInbox(), group: group, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for polling.Err() == nil {
			if group.Consume(polling, texts(c.Topics), m) != nil {
				time.Sleep(100 * time.Millisecond)
			}
		}
	}()
	d.members[c.Member] = m
	return nil
}

func (m *member) Setup(session sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = session
	return nil
}

func (m *member) Cleanup(sarama.ConsumerGroupSession) error {
	m.lock.Lock()
	defer m.lock.Unlock()
	m.session = nil
	return nil
}

// assignment asks the session: a cooperative one lives on when its claims change.
func (m *member) assignment() [][]any {
	m.lock.Lock()
	session := m.session
	m.lock.Unlock()
	if session == nil {
		m.assign(nil)
	} else {
		m.assign(session.Claims())
	}
	return m.places()
}

func (m *member) ConsumeClaim(session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim) error {
	for message := range claim.Messages() {
		m.add(found(message))
		session.MarkMessage(message, "")
	}
	return nil
}

func (m *member) commit() error {
	m.lock.Lock()
	session := m.session
	m.lock.Unlock()
	if session == nil {
		return errors.New("no session to commit in")
	}
	session.Commit()
	return nil
}

func (m *member) leave() error {
	m.cancel()
	<-m.done
	return m.group.Close()
}
