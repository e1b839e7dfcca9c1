package azstore

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/appendblob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// log is append blobs, one per log.
type log struct{ container *container.Client }

// Append implements store.Log: the append position is the condition, so that of
// two writers one wins, and a repeated request cannot append twice.
func (l *log) Append(ctx context.Context, name string, at int64, data []byte) error {
	const op = "azstore.Append"
	if err := store.CheckAppend(op, name, at, data); err != nil {
		return err
	}
	b := l.container.NewAppendBlobClient(name)
	err := appendAt(ctx, b, at, data)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		if at != 0 {
			return conflict(op, "log %s has 0 bytes, not %d", name, at)
		}
		// Only if it is absent: a plain Create would empty what another made.
		_, err = b.Create(once(ctx), &appendblob.CreateOptions{AccessConditions: &blob.AccessConditions{
			ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfNoneMatch: to.Ptr(azcore.ETagAny)},
		}})
		if status, _ := answered(err); err != nil && status != http.StatusConflict && status != http.StatusPreconditionFailed {
			return azfault.Write(op, err)
		}
		err = appendAt(ctx, b, at, data)
	}
	switch {
	case bloberror.HasCode(err, bloberror.AppendPositionConditionNotMet):
		return conflict(op, "log %s does not end at %d", name, at)
	case bloberror.HasCode(err, bloberror.BlockCountExceedsLimit):
		return fault.New(fault.Invalid, op, "log %s has %d blocks: roll it", name, store.MaxBlocks)
	}
	return azfault.Write(op, err)
}

func appendAt(ctx context.Context, b *appendblob.Client, at int64, data []byte) error {
	_, err := b.AppendBlock(once(ctx), streaming.NopCloser(bytes.NewReader(data)), &appendblob.AppendBlockOptions{
		AppendPositionAccessConditions: &appendblob.AppendPositionAccessConditions{AppendPosition: to.Ptr(at)},
	})
	return err
}

// Read implements store.Log.
func (l *log) Read(ctx context.Context, name string, from int64, limit int) ([]byte, error) {
	const op = "azstore.Read"
	if err := store.CheckRead(op, name, from, limit); err != nil || limit == 0 {
		return nil, err
	}
	resp, err := l.container.NewBlobClient(name).DownloadStream(again(ctx), &blob.DownloadStreamOptions{
		Range: blob.HTTPRange{Offset: from, Count: int64(limit)},
	})
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.InvalidRange) {
		return nil, nil
	}
	if err != nil {
		return nil, azfault.Read(op, err)
	}
	body := resp.NewRetryReader(ctx, nil)
	defer func() { _ = body.Close() }()
	out, err := io.ReadAll(io.LimitReader(body, int64(limit)))
	return out, azfault.Read(op, err)
}

// Size implements store.Log.
func (l *log) Size(ctx context.Context, name string) (int64, int, error) {
	const op = "azstore.Size"
	if err := store.CheckKey(op, name); err != nil {
		return 0, 0, err
	}
	resp, err := l.container.NewAppendBlobClient(name).GetProperties(again(ctx), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound) {
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, azfault.Read(op, err)
	}
	return deref(resp.ContentLength), int(deref(resp.BlobCommittedBlockCount)), nil
}
