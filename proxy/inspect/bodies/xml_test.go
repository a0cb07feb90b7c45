package bodies_test

import (
	"encoding/xml"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/outrider-mesh/outrider/proxy/inspect/bodies"
)

const soap = `<?xml version="1.0"?>
<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/">
  <soap:Header/>
  <soap:Body><m:charge xmlns:m="urn:shop" id="7"><m:amount currency="EUR">12.50</m:amount><m:note>a &lt; b</m:note></m:charge></soap:Body>
</soap:Envelope>`

const xmlRPC = `<?xml version="1.0"?><methodCall><methodName>shop.charge</methodName><params>
<param><value><i4>41</i4></value></param><param><value><string>Espresso</string></value></param></params></methodCall>`

func readXML(text string, limit int) (all []string, full bool, err error) {
	to, got := collect(limit)
	w := bodies.XML{Sink: to}
	err = w.Document("xml", text)
	return *got, to.Full, err
}

func TestXML(t *testing.T) {
	tests := []struct {
		name, text string
		want       []string
		broken     bool
	}{
		{"SOAP", soap, []string{
			"xml.Envelope.@ns=http://schemas.xmlsoap.org/soap/envelope/", "xml.Envelope.Body.charge.@ns=urn:shop", "xml.Envelope.Body.charge.@id=7",
			"xml.Envelope.Body.charge.amount.@currency=EUR", "xml.Envelope.Body.charge.amount=12.50", "xml.Envelope.Body.charge.note=a < b",
		}, false},
		{"XML-RPC", xmlRPC, []string{
			"xml.methodCall.methodName=shop.charge", "xml.methodCall.params.param.value.i4=41", "xml.methodCall.params.param.1.value.string=Espresso",
		}, false},
		{"elements of one name", "<a><b>1</b><c>2</c><b>3</b><b d='4'/></a>", []string{"xml.a.b=1", "xml.a.c=2", "xml.a.b.1=3", "xml.a.b.2.@d=4"}, false},
		{"a text that a comment cuts up", "<a>1' un<!-- x -->ion</a>", []string{"xml.a=1' union"}, false},
		{"a text that a section cuts up", "<a>1' un<![CDATA[ion]]> select</a>", []string{"xml.a=1' union select"}, false},
		{"a text that elements cut up", "<a>1' un<b/>ion<b>2</b></a>", []string{"xml.a=1' un", "xml.a=ion", "xml.a.b.1=2", "xml.a=1' union"}, false},
		{"white space", "<a> \n <b> x </b>\n</a>", []string{"xml.a.b=x"}, false},
		{"an instruction", "<a><?php system(1)?></a>", []string{"xml.a=<?php system(1)?>"}, false},
		{"text outside", "x<a/>y", []string{"xml=x", "xml=y", "xml=xy"}, false},
		{"elements that do not end", "<a><b>1</a><b>2", []string{"xml.a.b=1", "xml.b=2"}, false},
		{"ends that nothing began", "<a></b>1</a></a>2", []string{"xml.a=1", "xml=2"}, false},
		{"a tag that is cut off", "<a>1</a><b c='1 or", []string{"xml.a=1", "xml=<b c='1 or"}, false},
		{"no XML", "a < b", []string{"xml=a", "xml=< b"}, true},
		{"a type", "<!DOCTYPE a><a>1</a>", []string{"xml.a=1"}, false},
		{"an entity", `<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`, []string{`xml=<!DOCTYPE a [<!ENTITY x "y">]><a>&x;</a>`}, true},
		{"an entity that nobody declared", `<a>&x;</a>`, []string{"xml.a=&x;"}, false},
		{"a type that is fetched", `<!doctype a system "http://x/"><a/>`, []string{`xml=<!doctype a system "http://x/"><a/>`}, true},
		{"another encoding", `<?xml version="1.0" encoding="utf-7"?><a/>`, []string{`xml=<?xml version="1.0" encoding="utf-7"?><a/>`}, true},
		{"too deep", strings.Repeat("<a>", 129), []string{"xml=<a>"}, true},
		{"nothing", "", nil, false},
	}
	if len(tests) < 20 {
		t.Errorf("only %d cases", len(tests))
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := readXML(tt.text, 100)
			if diff := cmp.Diff(tt.want, got); diff != "" || (err != nil) != tt.broken {
				t.Errorf("error %v, -want +got:\n%s", err, diff)
			}
		})
	}
}

func TestXMLIsBounded(t *testing.T) {
	if got, full, err := readXML("<a b='1' c='2'>3</a>", 2); len(got) != 2 || !full || err != nil {
		t.Errorf("of 3 values with room for 2: %v, full %t, error %v", got, full, err)
	}
	long := strings.Repeat("x", 400)
	got, _, err := readXML(strings.Repeat("<"+long+">", 100)+"1", 10)
	if err != nil || len(got) != 1 || len(got[0]) > 520 {
		t.Errorf("%d values, error %v, %.600q", len(got), err, got)
	}
	n := 0
	w := bodies.XML{Sink: &bodies.Sink{}, RawLeft: 2, Raw: func(string, string) bool { n++; return true }}
	if err := w.Document("xml", "<a b='1' c='2'>3</a>"); err != nil || n != 2 || !w.Full {
		t.Errorf("%d values as they are, full %t, error %v", n, w.Full, err)
	}
}

// FuzzXML holds that each text and each attribute that the standard library finds is in
// a value, and that nothing is lost behind what cannot be read.
func FuzzXML(f *testing.F) {
	for _, s := range []string{soap, xmlRPC, "<a>x<b/>y<!-- -->z</a>", "<a b=c d>", "</a>x", "<a>&lt;", "<a><![CDATA[x", "<!DOCTYPE a>", "<?a b?>", "<a:b c:d='e'>"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		values := []string{}
		w := bodies.XML{Sink: &bodies.Sink{Left: 1 << 20, Add: func(name []byte, value string) bool {
			if len(name) > 600 || !strings.HasPrefix(string(name), "xml") {
				t.Errorf("name %q", name)
			}
			values = append(values, value)
			return true
		}}}
		all, err := "", w.Document("xml", text)
		all = strings.Join(values, "\x00")
		d := xml.NewDecoder(strings.NewReader(text))
		d.Strict, d.Entity = false, xml.HTMLEntity
		for {
			token, terr := d.RawToken()
			if terr != nil {
				return
			}
			wanted := []string{}
			switch token := token.(type) {
			case xml.CharData:
				wanted = append(wanted, strings.TrimSpace(string(token)))
			case xml.StartElement:
				for _, a := range token.Attr {
					wanted = append(wanted, a.Value)
				}
			}
			for _, v := range wanted {
				if err == nil && !strings.Contains(all, v) {
					t.Errorf("%q of %q is in no value: %q", v, text, values)
				}
			}
		}
	})
}
