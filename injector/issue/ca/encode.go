package ca

import (
	"crypto"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
)

// MaxState is the longest state that is written or read, in bytes. A Secret
// holds 1 MiB.
const MaxState = 900 << 10

// format is the version of the form below. A program that meets another one
// stops, and does not guess what it may throw away.
const format = 1

// The stored form. Certificates are DER, keys PKCS #8.
type (
	stored struct {
		Format      int                 `json:"format"`
		TrustDomain string              `json:"trustDomain"`
		Roots       []storedRoot        `json:"roots"`
		Federated   map[string][][]byte `json:"federated,omitempty"`
		Handled     string              `json:"handled,omitempty"`
	}
	storedRoot struct {
		Certificate []byte        `json:"certificate"`
		Key         []byte        `json:"key,omitempty"`
		Phase       Phase         `json:"phase"`
		Since       time.Time     `json:"since"`
		Issuer      *storedIssuer `json:"issuer,omitempty"`
	}
	storedIssuer struct {
		Chain [][]byte `json:"chain"`
		Key   []byte   `json:"key"`
	}
)

// Encode writes a state for a store. What it returns is as secret as the keys in
// it.
func Encode(s State) ([]byte, error) {
	out := stored{Format: format, TrustDomain: s.TrustDomain.Name(), Handled: s.Handled, Federated: map[string][][]byte{}}
	for td, roots := range s.Federated {
		out.Federated[td.Name()] = raw(roots)
	}
	for _, r := range s.Roots {
		key, err := encodeKey(r.Key)
		if err != nil {
			return nil, err
		}
		root := storedRoot{Certificate: r.Cert.Raw, Key: key, Phase: r.Phase, Since: r.Since.UTC()}
		if r.Issuer != nil {
			if key, err = encodeKey(r.Issuer.Key); err != nil {
				return nil, err
			}
			root.Issuer = &storedIssuer{Chain: raw(r.Issuer.Chain), Key: key}
		}
		out.Roots = append(out.Roots, root)
	}
	data, err := json.Marshal(out)
	if err == nil && len(data) > MaxState {
		err = fmt.Errorf("it has %d bytes, at most %d fit", len(data), MaxState)
	}
	if err != nil {
		return nil, fmt.Errorf("write the CA's state: %w", err)
	}
	return data, nil
}

// Decode reads what [Encode] wrote, and checks it.
func Decode(data []byte) (State, error) {
	s, err := decode(data)
	if err == nil {
		err = s.Check()
	}
	if err != nil {
		return State{}, fmt.Errorf("read the CA's state: %w", err)
	}
	return s, nil
}

func decode(data []byte) (State, error) {
	var in stored
	if len(data) > MaxState {
		return State{}, fmt.Errorf("it has %d bytes, at most %d are read", len(data), MaxState)
	}
	if err := json.Unmarshal(data, &in); err != nil {
		return State{}, err
	}
	if in.Format != format {
		return State{}, fmt.Errorf("it is of the format %d, this program reads %d", in.Format, format)
	}
	s := State{Handled: in.Handled}
	var err error
	if s.TrustDomain, err = spiffeid.TrustDomainFromString(in.TrustDomain); err != nil {
		return State{}, err
	}
	for i, r := range in.Roots {
		root, err := r.decode()
		if err != nil {
			return State{}, fmt.Errorf("root %d: %w", i+1, err)
		}
		s.Roots = append(s.Roots, root)
	}
	s.Federated, err = decodeFederated(in.Federated)
	return s, err
}

func decodeFederated(in map[string][][]byte) (map[spiffeid.TrustDomain][]*x509.Certificate, error) {
	out := make(map[spiffeid.TrustDomain][]*x509.Certificate, len(in))
	for name, ders := range in {
		td, err := spiffeid.TrustDomainFromString(name)
		if err != nil {
			return nil, fmt.Errorf("federated: %w", err)
		}
		if out[td], err = certificates(ders); err != nil {
			return nil, fmt.Errorf("federated: %q: %w", name, err)
		}
	}
	return out, nil
}

func (r storedRoot) decode() (Root, error) {
	cert, err := x509.ParseCertificate(r.Certificate)
	if err != nil {
		return Root{}, err
	}
	root := Root{Cert: cert, Phase: r.Phase, Since: r.Since}
	if len(r.Key) > 0 {
		if root.Key, err = decodeKey(r.Key); err != nil {
			return Root{}, err
		}
	}
	if r.Issuer == nil {
		return root, nil
	}
	root.Issuer = new(Issuer)
	if root.Issuer.Chain, err = certificates(r.Issuer.Chain); err != nil {
		return Root{}, fmt.Errorf("issuer: %w", err)
	}
	root.Issuer.Key, err = decodeKey(r.Issuer.Key)
	return root, err
}

func certificates(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 {
		return nil, errors.New("no certificate")
	}
	var certs []*x509.Certificate
	for _, der := range ders {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		certs = append(certs, cert)
	}
	return certs, nil
}

func raw(certs []*x509.Certificate) [][]byte {
	var ders [][]byte
	for _, c := range certs {
		ders = append(ders, c.Raw)
	}
	return ders
}

// encodeKey returns nil for no key.
func encodeKey(key crypto.Signer) ([]byte, error) {
	if key == nil {
		return nil, nil
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("write a private key of the CA: %w", err)
	}
	return der, nil
}

func decodeKey(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		// Not what the parser says: it may quote the bytes.
		return nil, errors.New("a private key that is not PKCS #8")
	}
	return signer(key)
}
