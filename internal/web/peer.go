package web

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidemark-dev/tidemark/internal/rows"
	"github.com/tidemark-dev/tidemark/topology"
)

// Instances ask each other at the addresses that people use, with a header that
// forbids the answering one to ask on. Keys in the query and rows in the answer
// are then bytes, not text.
const (
	hopHeader        = "Tidemark-Hop"
	partitionsHeader = "Tidemark-Partitions" // those that an answer covers: "0,3"
	partitionHeader  = "Tidemark-Partition"
	offsetHeader     = "Tidemark-Offset"
	ownerHeader      = "Tidemark-Owner"
	nextHeader       = "Tidemark-Next" // the first key beyond the answer, percent-encoded
)

// A wireRow is one row between instances. JSON writes the bytes in base64.
type wireRow struct {
	Key       []byte    `json:"key"`
	Value     []byte    `json:"value"` // null: there is no such row
	Time      time.Time `json:"time"`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Error     *Problem  `json:"error,omitempty"` // what ended the rows
}

var errMoving = errors.New("its partitions are moving: ask again")

// A peer is another instance, asked about one store.
type peer struct {
	address string
	store   string
	table   string // the changelog topic
}

// row returns a row, with a nil value if there is none.
func (p peer) row(ctx context.Context, key []byte) (topology.Raw, error) {
	return p.one(ctx, nil, url.Values{"key": {string(key)}})
}

// find returns a row from any of the peer's partitions. It is an error if the peer no
// longer has the expected ones.
func (p peer) find(ctx context.Context, partitions []int32, key []byte) (topology.Raw, error) {
	return p.one(ctx, partitions, url.Values{"key": {string(key)}, "anywhere": {"1"}})
}

func (p peer) one(ctx context.Context, partitions []int32, q url.Values) (topology.Raw, error) {
	body, covered, err := p.ask(ctx, q)
	if err != nil {
		return topology.Raw{}, err
	}
	defer body.Close()
	if err := p.covers(covered, partitions); err != nil {
		return topology.Raw{}, err
	}
	r, err := p.decode(json.NewDecoder(body))
	if errors.Is(err, io.EOF) {
		err = p.elsewhere(io.ErrUnexpectedEOF)
	}
	return r, err
}

// rows yields the peer's rows by key, with a limit the first ones. It is an error if
// the peer no longer has the partitions.
func (p peer) rows(ctx context.Context, partitions []int32, from, to []byte, limit int) iter.Seq2[topology.Raw, error] {
	q := url.Values{"from": {string(from)}}
	if to != nil {
		q.Set("to", string(to))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return p.stream(ctx, partitions, q)
}

// changes yields the peer's rows and then every change.
func (p peer) changes(ctx context.Context, partitions []int32) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		for r, err := range p.stream(ctx, partitions, url.Values{"watch": {"1"}}) {
			if !yield(r, err) || err != nil {
				return
			}
		}
		if ctx.Err() == nil {
			yield(topology.Raw{}, p.elsewhere(errors.New("it has stopped")))
		}
	}
}

func (p peer) stream(ctx context.Context, partitions []int32, q url.Values) iter.Seq2[topology.Raw, error] {
	return func(yield func(topology.Raw, error) bool) {
		body, covered, err := p.ask(ctx, q)
		if err != nil {
			yield(topology.Raw{}, err)
			return
		}
		defer body.Close()
		if err := p.covers(covered, partitions); err != nil {
			yield(topology.Raw{}, err)
			return
		}
		lines := json.NewDecoder(body)
		for {
			r, err := p.decode(lines)
			switch {
			case errors.Is(err, io.EOF):
				return
			case err != nil && ctx.Err() != nil:
				err = ctx.Err()
			case err == nil && !slices.Contains(partitions, r.Partition):
				continue
			}
			if !yield(r, err) || err != nil {
				return
			}
		}
	}
}

// covers checks that an answer is about all the partitions.
func (p peer) covers(covered []string, partitions []int32) error {
	for _, partition := range partitions {
		if !slices.Contains(covered, strconv.Itoa(int(partition))) {
			return p.elsewhere(fmt.Errorf("partition %d: %w", partition, errMoving))
		}
	}
	return nil
}

// decode reads one row; io.EOF is the end of the answer.
func (p peer) decode(lines *json.Decoder) (topology.Raw, error) {
	var w wireRow
	switch err := lines.Decode(&w); {
	case errors.Is(err, io.EOF):
		return topology.Raw{}, io.EOF
	case err != nil:
		return topology.Raw{}, p.elsewhere(err)
	case w.Error != nil:
		return topology.Raw{}, p.refusal(*w.Error)
	}
	return topology.Raw{
		Key: w.Key, Value: w.Value, Time: w.Time,
		Position: topology.Position{Topic: p.table, Partition: w.Partition, Offset: w.Offset},
	}, nil
}

// ask returns the body of an answer, which the caller closes, and the
// partitions that it covers.
func (p peer) ask(ctx context.Context, q url.Values) (body io.ReadCloser, covered []string, err error) {
	client := Client{Address: p.address, hop: true, http: betweenInstances}
	res, err := client.Get(ctx, TablePath(p.store), q)
	if err == nil {
		return res.Body, strings.Split(res.Header.Get(partitionsHeader), ","), nil
	}
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	if refused, ok := errors.AsType[*Problem](err); ok {
		return nil, nil, p.refusal(*refused)
	}
	if e, ok := errors.AsType[*StrangerError](err); ok {
		err = fmt.Errorf("%s: is it another program that listens there?", e.Status)
	}
	if e, ok := errors.AsType[*UnreachableError](err); ok {
		err = e.Err // without the address, which the ElsewhereError says
	}
	return nil, nil, p.elsewhere(err)
}

// refusal is the error that a peer's error stands for.
func (p peer) refusal(e Problem) error {
	switch e.Code {
	case CodeRestoring, CodeNotReady:
		return fmt.Errorf("%w: %s: %s", rows.ErrRestoring, p.address, strings.TrimPrefix(e.Message, rows.ErrRestoring.Error()+": "))
	case CodeElsewhere:
		return p.elsewhere(errMoving)
	}
	return p.elsewhere(errors.New(e.Message))
}

func (p peer) elsewhere(err error) error { return &rows.ElsewhereError{Owner: p.address, Err: err} }
