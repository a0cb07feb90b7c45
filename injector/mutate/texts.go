package mutate

import "sync"

// mostTexts bounds what is kept, at some 2 KiB each: of every workload that makes pods
// at a time one text.
const mostTexts = 512

// Texts keeps the configurations of sidecars that were made and checked. The pods of a
// workload have the same one, and making it is half of what a pod costs. It may be used
// by several goroutines at once.
type Texts struct {
	mu   sync.Mutex
	made map[madeOf]string
}

// madeOf is all that a text is made of.
type madeOf struct {
	sidecar string // as YAML, without what the control plane adds
	mesh    Mesh
}

// NewTexts returns one that is empty.
func NewTexts() *Texts { return &Texts{made: map[madeOf]string{}} }

// of returns the text of something, which is made if there is none. One that can't be
// made is not kept.
func (t *Texts) of(what madeOf, build func() (string, error)) (string, error) {
	if t == nil {
		return build()
	}
	t.mu.Lock()
	text, ok := t.made[what]
	t.mu.Unlock()
	if ok {
		return text, nil
	}
	text, err := build()
	if err != nil {
		return "", err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.made) >= mostTexts {
		clear(t.made) // whoever is still making pods comes again
	}
	t.made[what] = text
	return text, nil
}
