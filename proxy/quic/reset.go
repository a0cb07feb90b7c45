package quic

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"

	quicgo "github.com/quic-go/quic-go"

	"github.com/outrider-mesh/outrider/identity"
)

// resetKey is what tokens are made of by which a peer recognises that we were
// restarted and know its connection no more (RFC 9000 §10.3). It has to be the same
// after the restart and nobody else's to know, so it is derived from the private key of
// our identity. A key that was replaced meanwhile, or that cannot be read, makes a
// reset that peers don't recognise; they notice the silence then, see [silence].
func resetKey(snap *identity.Snapshot) *quicgo.StatelessResetKey {
	var key quicgo.StatelessResetKey
	if secret := privateKey(snap); secret != nil {
		if derived, err := hkdf.Key(sha256.New, secret, nil, "outrider QUIC stateless reset", len(key)); err == nil {
			copy(key[:], derived)
			return &key
		}
	}
	_, _ = rand.Read(key[:]) // never fails, see its documentation
	return &key
}

// privateKey is nil where there is none, or one that stays in its device.
func privateKey(snap *identity.Snapshot) []byte {
	if snap == nil || snap.SVID == nil {
		return nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(snap.SVID.PrivateKey)
	if err != nil {
		return nil
	}
	return der
}
