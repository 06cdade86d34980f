package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

func codecOf(name string) kafka.Compression {
	switch name {
	case "gzip":
		return kafka.Gzip
	case "snappy":
		return kafka.Snappy
	case "lz4":
		return kafka.Lz4
	case "zstd":
		return kafka.Zstd
	}
	return 0
}

// mixed sends a record where it asks to go, and by its key when it does not ask.
type mixed struct {
	records []outgoing
	byKey   kafka.Hash
}

func (m *mixed) Balance(message kafka.Message, partitions ...int) int {
	if wanted := m.records[message.WriterData.(int)].Partition; wanted != nil {
		return int(*wanted)
	}
	return m.byKey.Balance(message, partitions...)
}

func (d *driver) produce(limit context.Context, c *command) (answer, error) {
	if c.Idempotent {
		return unsupported, nil
	}
	var lock sync.Mutex
	outcomes := make([]answer, len(c.Records))
	acks := kafka.RequireAll
	switch fmt.Sprint(c.Acks) {
	case "0":
		acks = kafka.RequireNone
	case "1":
		acks = kafka.RequireOne
	}
	writer := &kafka.Writer{
		Addr: d.client.Addr, Transport: d.client.Transport, Topic: c.Topic,
		Balancer: &mixed{records: c.Records}, Compression: codecOf(c.Codec), RequiredAcks: acks,
		BatchTimeout: 5 * time.Millisecond, BatchBytes: 1_000_000, AllowAutoTopicCreation: true,
		Completion: func(messages []kafka.Message, err error) {
			lock.Lock()
			defer lock.Unlock()
			for _, message := range messages {
				if err != nil {
					outcomes[message.WriterData.(int)] = answer{"error": errorName(err)}
				} else {
					outcomes[message.WriterData.(int)] = answer{"partition": message.Partition, "offset": message.Offset}
				}
			}
		},
	}
	messages := make([]kafka.Message, len(c.Records))
	for index, each := range c.Records {
		message := kafka.Message{Key: decode(each.Key), Value: decode(each.Value), WriterData: index}
		for _, header := range each.Headers {
			message.Headers = append(message.Headers, kafka.Header{Key: *header[0], Value: decode(header[1])})
		}
		if each.TimestampMs != nil {
			message.Time = time.UnixMilli(*each.TimestampMs)
		}
		messages[index] = message
	}
	err := writer.WriteMessages(limit, messages...)
	if closing := writer.Close(); err == nil {
		err = closing
	}
	return answer{"outcomes": outcomes}, err
}

func found(message kafka.Message) answer {
	headers := [][]any{}
	for _, header := range message.Headers {
		headers = append(headers, []any{header.Key, encode(header.Value)})
	}
	return answer{
		"topic": message.Topic, "partition": message.Partition, "offset": message.Offset,
		"key": encode(message.Key), "value": encode(message.Value),
		"headers": headers, "timestampMs": message.Time.UnixMilli(),
	}
}

func (d *driver) reader(topic string, partition int, offset int64) (*kafka.Reader, error) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{d.bootstrap}, Topic: topic, Partition: partition,
		MinBytes: 1, MaxBytes: 10_000_000, MaxWait: 100 * time.Millisecond,
	})
	return reader, reader.SetOffset(offset)
}

// consume reads every record up to the ends that the topic has now.
func (d *driver) consume(limit context.Context, c *command) (answer, error) {
	starts, err := d.offsetsAt(limit, c.Topic, kafka.FirstOffset)
	if err != nil {
		return nil, err
	}
	ends, err := d.offsetsAt(limit, c.Topic, kafka.LastOffset)
	if err != nil {
		return nil, err
	}
	records := []answer{}
	for partition, end := range ends {
		if starts[partition] >= end {
			continue
		}
		reader, err := d.reader(c.Topic, partition, starts[partition])
		if err != nil {
			return nil, err
		}
		for {
			message, err := reader.ReadMessage(limit)
			if err != nil {
				return nil, err
			}
			records = append(records, found(message))
			if message.Offset+1 >= end {
				break
			}
		}
		if err := reader.Close(); err != nil {
			return nil, err
		}
	}
	return answer{"records": records}, nil
}
