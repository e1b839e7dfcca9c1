package azstore

import (
	"context"
	"io"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/bloberror"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"cmkguard/internal/azure/azfault"
	"cmkguard/internal/fault"
	"cmkguard/internal/store"
)

// Letters is the container of Event Grid's dead letters. It is never made here:
// where nobody set one up there are none.
type Letters struct{ container *container.Client }

// OpenLetters returns the container PREFIX-deadletter of the account.
func OpenLetters(o Options) (*Letters, error) {
	c, err := o.blobs(o.prefix() + "-deadletter")
	if err != nil {
		return nil, err
	}
	return &Letters{c}, nil
}

// Each calls fn for every letter in the order of their names until it says stop.
func (l *Letters) Each(ctx context.Context, fn func(store.Letter) (more bool, err error)) error {
	const op = "azstore.Letters"
	for pager := l.container.NewListBlobsFlatPager(nil); pager.More(); {
		page, err := pager.NextPage(again(ctx))
		if bloberror.HasCode(err, bloberror.ContainerNotFound) {
			return nil
		}
		if err != nil {
			return azfault.Read(op, err)
		}
		for _, item := range page.Segment.BlobItems {
			if item.Name == nil || item.Properties == nil {
				continue
			}
			p := item.Properties
			one := store.Letter{Name: *item.Name, Size: deref(p.ContentLength), Written: deref(p.LastModified).UTC(), ETag: string(deref(p.ETag))}
			if more, err := fn(one); err != nil || !more {
				return err
			}
		}
	}
	return nil
}

// Get returns a letter's bytes, MaxLetterBytes of them at most, and the letter as
// it was then. One that is not there is a Conflict.
func (l *Letters) Get(ctx context.Context, name string) ([]byte, store.Letter, error) {
	const op = "azstore.GetLetter"
	resp, err := l.container.NewBlobClient(name).DownloadStream(again(ctx), nil)
	if bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound) {
		return nil, store.Letter{}, conflict(op, "there is no dead letter %q", name)
	}
	if err != nil {
		return nil, store.Letter{}, azfault.Read(op, err)
	}
	body := resp.NewRetryReader(ctx, nil)
	defer func() { _ = body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(body, store.MaxLetterBytes))
	one := store.Letter{Name: name, Size: deref(resp.ContentLength), Written: deref(resp.LastModified).UTC(), ETag: string(deref(resp.ETag))}
	return raw, one, azfault.Read(op, err)
}

// Delete deletes a letter as it was read; one that is gone is fine, one that was
// written anew is a Conflict.
func (l *Letters) Delete(ctx context.Context, one store.Letter) error {
	const op = "azstore.DeleteLetter"
	etag := azcore.ETag(one.ETag)
	client := l.container.NewBlobClient(one.Name)
	_, err := client.Delete(once(ctx), &blob.DeleteOptions{AccessConditions: &blob.AccessConditions{
		ModifiedAccessConditions: &blob.ModifiedAccessConditions{IfMatch: &etag},
	}})
	if bloberror.HasCode(err, bloberror.ConditionNotMet) { // so says the emulator of one that is gone, too
		if _, is := client.GetProperties(again(ctx), nil); bloberror.HasCode(is, bloberror.BlobNotFound) {
			return nil
		}
	}
	switch {
	case bloberror.HasCode(err, bloberror.BlobNotFound, bloberror.ContainerNotFound):
		return nil
	case bloberror.HasCode(err, bloberror.ConditionNotMet):
		return fault.New(fault.Conflict, op, "dead letter %q was written anew", one.Name)
	}
	return azfault.Write(op, err)
}
