package main

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"
)

func codecOf(name string) sarama.CompressionCodec {
	switch name {
	case "gzip":
		return sarama.CompressionGZIP
	case "snappy":
		return sarama.CompressionSnappy
	case "lz4":
		return sarama.CompressionLZ4
	case "zstd":
		return sarama.CompressionZSTD
	}
	return sarama.CompressionNone
}

// mixed sends a record where it asks to go, and by its key when it does not ask (partition -1).
type mixed struct{ sarama.Partitioner }

func newMixed(topic string) sarama.Partitioner { return mixed{sarama.NewHashPartitioner(topic)} }

func (m mixed) Partition(message *sarama.ProducerMessage, partitions int32) (int32, error) {
	if message.Partition >= 0 {
		return message.Partition, nil
	}
	return m.Partitioner.Partition(message, partitions)
}

func producerConfig(c *command) *sarama.Config {
	config := newConfig()
	config.Producer.Compression = codecOf(c.Codec)
	config.Producer.MaxMessageBytes = 1_000_000
	config.Producer.Partitioner = newMixed
	config.Producer.Return.Successes = true
	config.Producer.RequiredAcks = sarama.WaitForAll
	switch fmt.Sprint(c.Acks) {
	case "0":
		config.Producer.RequiredAcks = sarama.NoResponse
	case "1":
		config.Producer.RequiredAcks = sarama.WaitForLocal
	}
	if c.Idempotent {
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
	}
	return config
}

func encoder(text *string) sarama.Encoder {
	if text == nil {
		return nil
	}
	return sarama.ByteEncoder(decode(text))
}

func (d *driver) produce(c *command) (answer, error) {
	producer, err := sarama.NewAsyncProducer([]string{d.bootstrap}, producerConfig(c))
	if err != nil {
		return nil, err
	}
	go func() {
		for index, each := range c.Records {
			message := &sarama.ProducerMessage{
				Topic: c.Topic, Key: encoder(each.Key), Value: encoder(each.Value), Partition: -1, Metadata: index,
			}
			for _, header := range each.Headers {
				message.Headers = append(message.Headers, sarama.RecordHeader{Key: []byte(*header[0]), Value: decode(header[1])})
			}
			if each.TimestampMs != nil {
				message.Timestamp = time.UnixMilli(*each.TimestampMs)
			}
			if each.Partition != nil {
				message.Partition = *each.Partition
			}
			producer.Input() <- message
		}
	}()
	outcomes := make([]answer, len(c.Records))
	for range c.Records {
		select {
		case message := <-producer.Successes():
			outcomes[message.Metadata.(int)] = answer{"partition": message.Partition, "offset": message.Offset}
		case failure := <-producer.Errors():
			outcomes[failure.Msg.Metadata.(int)] = answer{"error": errorName(failure.Err)}
		}
	}
	return answer{"outcomes": outcomes}, producer.Close()
}

func found(message *sarama.ConsumerMessage) answer {
	headers := [][]any{}
	for _, header := range message.Headers {
		headers = append(headers, []any{string(header.Key), encode(header.Value)})
	}
	return answer{
		"topic": message.Topic, "partition": message.Partition, "offset": message.Offset,
		"key": encode(message.Key), "value": encode(message.Value),
		"headers": headers, "timestampMs": message.Timestamp.UnixMilli(),
	}
}

// consume reads every record up to the ends that the topic has now.
func (d *driver) consume(c *command) (answer, error) {
	if err := d.client.RefreshMetadata(c.Topic); err != nil {
		return nil, err
	}
	partitions, err := d.client.Partitions(c.Topic)
	if err != nil {
		return nil, err
	}
	consumer, err := sarama.NewConsumer([]string{d.bootstrap}, newConfig())
	if err != nil {
		return nil, err
	}
	defer consumer.Close()
	records := []answer{}
	for _, partition := range partitions {
		if records, err = d.readTo(consumer, c.Topic, partition, records); err != nil {
			return nil, err
		}
	}
	return answer{"records": records}, nil
}

func (d *driver) readTo(consumer sarama.Consumer, topic string, partition int32, records []answer) ([]answer, error) {
	start, err := d.client.GetOffset(topic, partition, sarama.OffsetOldest)
	if err != nil {
		return nil, err
	}
	end, err := d.client.GetOffset(topic, partition, sarama.OffsetNewest)
	if err != nil || start >= end {
		return records, err
	}
	reader, err := consumer.ConsumePartition(topic, partition, start)
	if err != nil {
		return nil, err
	}
	defer reader.Close()
	limit := time.After(patience)
	for {
		select {
		case message := <-reader.Messages():
			records = append(records, found(message))
			if message.Offset+1 >= end {
				return records, nil
			}
		case <-limit:
			return nil, fmt.Errorf("%s-%d was not read to its end", topic, partition)
		}
	}
}
