// Drives kafka-go for the compatibility tests.
package main

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/segmentio/kafka-go"
)

type driver struct {
	bootstrap string
	client    *kafka.Client
	members   map[string]*member
}

func main() {
	client := &kafka.Client{
		Addr:    kafka.TCP(os.Args[1]),
		Timeout: patience,
		// Topics that a test makes are looked up at once.
		Transport: &kafka.Transport{MetadataTTL: 50 * time.Millisecond},
	}
	awaitBrokers(client)
	d := &driver{os.Args[1], client, map[string]*member{}}
	serve(d.run)
}

// awaitBrokers asks until brokers are known. The client gives each question as long as metadata lives; when the first one
// takes longer, it sends requests nowhere.
func awaitBrokers(client *kafka.Client) {
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for limit.Err() == nil {
		if _, err := client.Metadata(limit, &kafka.MetadataRequest{}); err == nil {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// errorName gives Kafka's name of an error.
func errorName(err error) any {
	if err == nil {
		return nil
	}
	var code kafka.Error
	if errors.As(err, &code) {
		return protocolName(int(code))
	}
	return err.Error()
}

func (d *driver) run(c *command) (answer, error) {
	limit, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch c.Do {
	case "produce":
		return d.produce(limit, c)
	case "consume":
		return d.consume(limit, c)
	case "join":
		return d.join(c)
	case "assignment":
		return answer{"partitions": d.members[c.Member].places()}, nil
	case "take":
		return answer{"records": d.members[c.Member].take()}, nil
	case "commit":
		return answer{}, d.members[c.Member].commit()
	case "leave":
		m := d.members[c.Member]
		delete(d.members, c.Member)
		return answer{}, m.leave()
	}
	return d.serveAdmin(limit, c)
}
