package http2

import (
	"context"

	"github.com/outrider-mesh/outrider/proxy/message"
)

// noEdits is shared by all exchanges, as it would be by a stage without any.
var noEdits = new(message.Edits)

func relayTo(ctx context.Context, pool *Pool, x *Exchange) {
	up, err := pool.Get(ctx, x.Started)
	if err != nil {
		x.Abort()
		return
	}
	if f := x.Forward(up, noEdits); f != nil {
		x.Abort()
	}
}
