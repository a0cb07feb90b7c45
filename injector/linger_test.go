package injector

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestAReplicaThatIsToEndGoesOnForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		later, cancel := linger(ctx, 5*time.Second)
		defer cancel()
		ended := time.Now()
		end()
		synctest.Wait()
		if later.Err() != nil {
			t.Error("it ends at once")
		}
		<-later.Done()
		if after := time.Since(ended); after != 5*time.Second {
			t.Errorf("it ends after %v", after)
		}
	})
}

// What fails does not wait.
func TestAReplicaThatEndsByItselfLeavesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, end := context.WithCancel(t.Context())
		later, cancel := linger(ctx, time.Hour)
		cancel()
		end()
		synctest.Wait()
		if later.Err() == nil {
			t.Error("it is not over")
		}
	})
}
