package report

import "io"

func (d *Document) WriteTable(w io.Writer) error      { return d.WriteJSON(w) }
func (d *Document) WritePage(w io.Writer) error       { return nil }
func (d *Document) WritePrometheus(w io.Writer) error { return nil }
