package azstore

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// A property holds 64 KiB of binary (learn.microsoft.com rest/api/storageservices/
// understanding-the-table-service-data-model), so that a value of 512 KiB takes eight.
const (
	propertyBytes = 64 << 10
	properties    = store.MaxValueBytes / propertyBytes
	// tablePage is the most entities that one answer holds.
	tablePage = 1000
)

// state is rows as entities of one table: partition and key as they are (the
// port's alphabet has nothing that a table forbids, and its order is the
// table's), the value in binary properties.
type state struct{ table *aztables.Client }

func property(i int) string { return fmt.Sprintf("V%d", i) }

func entity(partition, key string, value []byte) ([]byte, error) {
	e := aztables.EDMEntity{Entity: aztables.Entity{PartitionKey: partition, RowKey: key}, Properties: map[string]any{}}
	for i := 0; len(value) > 0; i++ {
		n := min(len(value), propertyBytes)
		e.Properties[property(i)] = aztables.EDMBinary(value[:n])
		value = value[n:]
	}
	return json.Marshal(e)
}

func row(raw []byte) (store.Row, error) {
	var e aztables.EDMEntity
	if err := json.Unmarshal(raw, &e); err != nil {
		return store.Row{}, fault.New(fault.Invalid, "azstore.row", "not an entity: %w", err)
	}
	out := store.Row{Partition: e.PartitionKey, Key: e.RowKey, ETag: e.ETag, Value: []byte{}}
	for i := range properties {
		part, ok := e.Properties[property(i)].(aztables.EDMBinary)
		if !ok {
			break
		}
		out.Value = append(out.Value, part...)
	}
	return out, nil
}

// Get implements store.State.
func (s *state) Get(ctx context.Context, partition, key string) (store.Row, bool, error) {
	const op = "azstore.Get"
	if err := checkKeys(op, partition, key); err != nil {
		return store.Row{}, false, err
	}
	resp, err := s.table.GetEntity(again(ctx), partition, key, nil)
	if _, code := answered(err); code == string(aztables.ResourceNotFound) || code == string(aztables.EntityNotFound) {
		return store.Row{}, false, nil
	}
	if err != nil {
		return store.Row{}, false, azfault.Read(op, err)
	}
	r, err := row(resp.Value)
	if r.ETag == "" {
		r.ETag = string(resp.ETag)
	}
	return r, err == nil, err
}

func checkKeys(op string, keys ...string) error {
	for _, k := range keys {
		if err := store.CheckKey(op, k); err != nil {
			return err
		}
	}
	return nil
}

// Scan implements store.State.
func (s *state) Scan(ctx context.Context, partition, from, to string, limit int) ([]store.Row, error) {
	const op = "azstore.Scan"
	if err := store.CheckScan(op, partition, limit); err != nil {
		return nil, err
	}
	pager := s.table.NewListEntitiesPager(&aztables.ListEntitiesOptions{Filter: filter(partition, from, to), Top: top(limit)})
	var out []store.Row
	for pager.More() && len(out) < limit {
		page, err := pager.NextPage(again(ctx))
		if err != nil {
			return nil, azfault.Read(op, err)
		}
		for _, raw := range page.Entities {
			r, err := row(raw)
			if err != nil {
				return nil, err
			}
			out = append(out, r)
		}
	}
	return out[:min(len(out), limit)], nil
}

func top(limit int) *int32 { return to.Ptr(int32(min(limit, tablePage))) }

// filter needs no escaping: no key has a quote.
func filter(partition, from, to string) *string {
	f := "PartitionKey eq '" + partition + "'"
	if from != "" {
		f += " and RowKey ge '" + from + "'"
	}
	if to != "" {
		f += " and RowKey lt '" + to + "'"
	}
	return &f
}

// Apply implements store.State by one entity group transaction.
func (s *state) Apply(ctx context.Context, partition string, ops []store.Op) ([]string, error) {
	const op = "azstore.Apply"
	if err := store.CheckBatch(op, partition, ops); err != nil {
		return nil, err
	}
	actions := make([]aztables.TransactionAction, 0, len(ops))
	for _, o := range ops {
		if o.Kind != store.Insert && !wellFormed(o.ETag) {
			return nil, conflict(op, "row %q: %q is no ETag of this store", o.Key, o.ETag)
		}
		a, err := action(partition, o)
		if err != nil {
			return nil, fault.Wrap(fault.Invalid, op, err)
		}
		actions = append(actions, a)
	}
	var resp *http.Response
	ctx = policy.WithCaptureResponse(once(ctx), &resp)
	_, err := s.table.SubmitTransaction(ctx, actions, nil)
	parts := readParts(resp)
	if refused := firstRefusal(parts); refused != nil {
		return nil, refusedFault(op, *refused, err)
	}
	if err != nil {
		return nil, azfault.Write(op, err)
	}
	return etags(ops, parts)
}

// wellFormed tells an ETag of a table from any other: the service answers a
// strange one with 400, which would look like a fault of the batch.
func wellFormed(etag string) bool {
	return strings.HasPrefix(etag, `W/"`) && strings.HasSuffix(etag, `"`) && strings.Count(etag, `"`) == 2
}

func action(partition string, o store.Op) (aztables.TransactionAction, error) {
	raw, err := entity(partition, o.Key, o.Value)
	a := aztables.TransactionAction{Entity: raw}
	switch o.Kind {
	case store.Insert:
		a.ActionType = aztables.TransactionTypeAdd
	case store.Replace:
		a.ActionType, a.IfMatch = aztables.TransactionTypeUpdateReplace, to.Ptr(azcore.ETag(o.ETag))
	case store.Delete:
		a.ActionType, a.IfMatch = aztables.TransactionTypeDelete, to.Ptr(azcore.ETag(o.ETag))
	}
	return a, err
}

// refusedFault maps what the service said of one operation; nothing of the
// batch was done.
func refusedFault(op string, p part, err error) error {
	switch {
	case p.status == http.StatusConflict, p.status == http.StatusPreconditionFailed,
		p.status == http.StatusNotFound && p.code != string(aztables.TableNotFound):
		return conflict(op, "%s (HTTP %d)", p.code, p.status)
	case p.status == http.StatusBadRequest:
		return fault.New(fault.Invalid, op, "%s: %w", p.code, err)
	}
	return azfault.Write(op, err)
}

// etags gives the new ETag of each operation, "" for a delete.
func etags(ops []store.Op, parts []part) ([]string, error) {
	if len(parts) != len(ops) {
		return nil, fault.New(fault.Unknown, "azstore.Apply", "%d answers to %d operations", len(parts), len(ops))
	}
	out := make([]string, len(ops))
	for i, o := range ops {
		if o.Kind != store.Delete {
			out[i] = parts[i].etag
		}
	}
	return out, nil
}
