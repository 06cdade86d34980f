package main

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rawProduceVersion is the newest Produce version without tagged fields: its answer has fixed places.
const rawProduceVersion = 7

// frame encodes a request with a size and a version 1 header, as a client named "bench" sends it.
func frame(request kmsg.Request, version int16) []byte {
	request.SetVersion(version)
	b := make([]byte, 4, 256)
	b = binary.BigEndian.AppendUint16(b, uint16(request.Key()))
	b = binary.BigEndian.AppendUint16(b, uint16(version))
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint16(b, 5)
	b = append(b, "bench"...)
	if request.IsFlexible() {
		b = append(b, 0)
	}
	b = request.AppendTo(b)
	binary.BigEndian.PutUint32(b, uint32(len(b)-4))
	return b
}

// produceFrame is a whole Produce request (acks=all) for one record of sizeBytes.
func produceFrame(topic string, partition int32, sizeBytes int) []byte {
	request := kmsg.NewPtrProduceRequest()
	request.Acks = -1
	request.TimeoutMillis = 10_000
	entry := kmsg.NewProduceRequestTopic()
	entry.Topic = topic
	part := kmsg.NewProduceRequestTopicPartition()
	part.Partition = partition
	part.Records = oneRecordBatch(sizeBytes)
	entry.Partitions = append(entry.Partitions, part)
	request.Topics = append(request.Topics, entry)
	return frame(request, rawProduceVersion)
}

func oneRecordBatch(sizeBytes int) []byte {
	value := make([]byte, sizeBytes)
	for i := range value {
		value[i] = byte('a' + i%26)
	}
	body := []byte{0, 0, 0} // attributes, timestamp delta, offset delta
	body = binary.AppendVarint(body, -1)
	body = binary.AppendVarint(body, int64(len(value)))
	body = append(body, value...)
	body = append(body, 0) // headers
	record := binary.AppendVarint(nil, int64(len(body)))
	record = append(record, body...)

	now := time.Now().UnixMilli()
	batch := kmsg.RecordBatch{
		FirstOffset: 0, Length: int32(49 + len(record)), PartitionLeaderEpoch: -1, Magic: 2,
		FirstTimestamp: now, MaxTimestamp: now, ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1,
		NumRecords: 1, Records: record,
	}
	b := batch.AppendTo(nil)
	const crcPosition, crcFrom = 17, 21
	binary.BigEndian.PutUint32(b[crcPosition:], crc32.Checksum(b[crcFrom:], crc32.MakeTable(crc32.Castagnoli)))
	return b
}

// checkProduced reads the error code of a one-partition Produce answer (without its size).
func checkProduced(answer []byte, topic string) error {
	at := 4 + 4 + 2 + len(topic) + 4 + 4
	if len(answer) < at+2 {
		return fmt.Errorf("a Produce answer of %d bytes", len(answer))
	}
	return kerr.ErrorForCode(int16(binary.BigEndian.Uint16(answer[at:])))
}

// exchange sends one frame and reads one answer into buffer; the answer is a view of it.
func exchange(connection io.ReadWriter, request, buffer []byte) ([]byte, error) {
	if _, err := connection.Write(request); err != nil {
		return nil, err
	}
	filled := 0
	for {
		n, err := connection.Read(buffer[filled:])
		filled += n
		if err != nil {
			return nil, err
		}
		if filled >= 4 {
			size := int(binary.BigEndian.Uint32(buffer))
			if 4+size > len(buffer) {
				return nil, fmt.Errorf("an answer of %d bytes", size)
			}
			if filled >= 4+size {
				return buffer[4 : 4+size], nil
			}
		}
	}
}

// exchangeLarge is exchange for answers of any size up to largestAnswer.
func exchangeLarge(connection io.ReadWriter, request []byte) ([]byte, error) {
	if _, err := connection.Write(request); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(connection, size[:]); err != nil {
		return nil, err
	}
	sizeBytes := binary.BigEndian.Uint32(size[:])
	if sizeBytes > largestAnswer {
		return nil, fmt.Errorf("an answer of %d bytes", sizeBytes)
	}
	answer := make([]byte, sizeBytes)
	_, err := io.ReadFull(connection, answer)
	return answer, err
}

// ask sends a request on a connection and decodes the answer.
func ask(connection io.ReadWriter, request kmsg.Request, version int16) (kmsg.Response, error) {
	answer, err := exchange(connection, frame(request, version), make([]byte, 1<<20))
	if err != nil {
		return nil, err
	}
	response := request.ResponseKind()
	response.SetVersion(version)
	body := answer[4:]
	if response.IsFlexible() && response.Key() != 18 {
		body = body[1:]
	}
	return response, response.ReadFrom(body)
}

// blockingSocket is a TCP connection that blocks its thread, so that a round trip has no scheduler in it.
type blockingSocket struct {
	file *os.File
	fd   int
}

func dialBlocking(address string) (*blockingSocket, error) {
	connection, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	file, err := connection.(*net.TCPConn).File()
	if err != nil {
		return nil, err
	}
	fd := int(file.Fd())
	if err := syscall.SetNonblock(fd, false); err != nil {
		return nil, err
	}
	return &blockingSocket{file, fd}, nil
}

func (s *blockingSocket) Write(b []byte) (int, error) { return syscall.Write(s.fd, b) }
func (s *blockingSocket) Close() error                { return s.file.Close() }
func (s *blockingSocket) Read(b []byte) (int, error) {
	for {
		n, err := syscall.Read(s.fd, b)
		if err == syscall.EINTR {
			continue
		}
		if n == 0 && err == nil {
			err = io.EOF
		}
		return n, err
	}
}
