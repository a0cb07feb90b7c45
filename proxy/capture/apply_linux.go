package capture

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/userdata"
	"github.com/mdlayher/netlink"
)

const (
	// kernelTimeout bounds one conversation with the kernel, which answers in
	// less than a millisecond, or after it has loaded a module.
	kernelTimeout = 10 * time.Second
	// kernelBuffer holds the answers to one transaction: the kernel echoes each
	// rule, at 2 KiB with its overhead, before the first is read. The largest
	// plan has some 450 rules.
	kernelBuffer = 4 << 20
)

// dial returns a conversation with the kernel, bounded in time.
func dial() (*nftables.Conn, error) {
	return nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error {
		// What is beyond the system's limit is granted to NET_ADMIN only, who
		// alone may go on from here anyway.
		if err := c.SetReadBuffer(kernelBuffer); err != nil && !errors.Is(err, os.ErrPermission) {
			return err
		}
		return c.SetDeadline(time.Now().Add(kernelTimeout))
	}))
}

// Apply puts the plan into force, in place of whatever plan was before, in one
// transaction: no connection meets half of the one and half of the other.
// Connections that are open go on as they are.
func (p *Plan) Apply() error {
	c, err := dial()
	if err != nil {
		return explain("talk to nf_tables", err)
	}
	old, err := installed(c)
	if err != nil {
		return err
	}
	if old != nil {
		c.DelTable(old.table)
	}
	table := c.CreateTable(&nftables.Table{Name: Table, Family: nftables.TableFamilyINet})
	for _, ch := range p.chains {
		c.AddChain(ch.encode(table))
	}
	for _, ch := range p.chains {
		for _, r := range ch.rules {
			exprs, err := r.expressions()
			if err != nil {
				return err
			}
			c.AddRule(&nftables.Rule{
				Table: table, Chain: &nftables.Chain{Name: ch.name, Table: table}, Exprs: exprs,
				UserData: userdata.AppendString(nil, userdata.TypeComment, r.why),
			})
		}
	}
	return explain("install the rules", c.Flush())
}

func (c chain) encode(t *nftables.Table) *nftables.Chain {
	n := &nftables.Chain{Name: c.name, Table: t}
	if c.hook == hookNone {
		return n
	}
	accept := nftables.ChainPolicyAccept
	n.Type, n.Priority, n.Policy = nftables.ChainTypeNAT, nftables.ChainPriorityNATDest, &accept
	n.Hooknum = nftables.ChainHookOutput
	if c.hook == hookPrerouting {
		n.Hooknum = nftables.ChainHookPrerouting
	}
	return n
}

// Remove takes the plan in force away and leaves nothing behind. It tells whether
// there was one.
func Remove() (bool, error) {
	c, err := dial()
	if err != nil {
		return false, explain("talk to nf_tables", err)
	}
	old, err := installed(c)
	if err != nil || old == nil {
		return false, err
	}
	c.DelTable(old.table)
	return true, explain("remove the rules", c.Flush())
}

// explain says what was attempted, and what to do about it.
func explain(attempt string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EPERM), errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s: %w", attempt, ErrNotPermitted)
	case errors.Is(err, syscall.EOPNOTSUPP), errors.Is(err, syscall.EPROTONOSUPPORT), errors.Is(err, syscall.ENOENT), errors.Is(err, syscall.EAFNOSUPPORT):
		return fmt.Errorf("%s: %w (%w)", attempt, ErrUnsupported, err)
	}
	return fmt.Errorf("%s: %w", attempt, err)
}
