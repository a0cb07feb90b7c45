package bench

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/test/peers/hop"
)

// An inspectable is a kind of request that is measured with inspection on.
type inspectable struct {
	name   string
	benign hop.Request
	// attack is the same request with something in it that every rule set knows.
	attack hop.Request
}

// answerSize is how long the answers are, in bytes.
const answerSize = 1024

// inspectables are what services commonly send to each other.
func inspectables() []inspectable {
	const form, json = "application/x-www-form-urlencoded", "application/json"
	path := fmt.Sprintf("/%d", answerSize)
	return []inspectable{
		{
			name:   "GET, 3 arguments",
			benign: hop.Request{Method: http.MethodGet, Target: path + "?customer=alice&page=2&sort=date", Header: honest()},
			attack: hop.Request{Method: http.MethodGet, Target: path + "?customer=alice&page=2&sort=1%27%20OR%20%271%27%3D%271%27%20--%20", Header: honest()},
		},
		{
			name:   "POST, form of 200 bytes",
			benign: post(path, form, []byte(formText)),
			attack: post(path, form, []byte(formText+"&note=%3Cscript%3Ealert%28document.cookie%29%3C%2Fscript%3E")),
		},
		{
			name:   "POST, JSON of 1 KiB",
			benign: post(path, json, orders("")),
			attack: post(path, json, orders("1' UNION SELECT login, password FROM users -- ")),
		},
	}
}

func post(path, contentType string, body []byte) hop.Request {
	header := append(honest(), target.Field{Name: "Content-Type", Value: contentType})
	return hop.Request{Method: http.MethodPost, Target: path, Header: header, Body: body}
}

// formText has 200 bytes.
const formText = "customer=alice&name=Alice+Baker&street=12+Harbour+Road&city=Bristol&postcode=BS1+4RW&country=GB" +
	"&email=alice.baker%40example.com&phone=117496012&quantity=3&article=A1001&express=true&gift=false&lang=en"

// jsonSize is the length of the JSON, in bytes.
const jsonSize = 1024

// orders is an array of small objects, filled up to its size with blanks. The
// note of the first is as given.
func orders(note string) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `[{"id":100,"article":"A1000","quantity":1,"price":1999,"note":%q}`, note)
	for i := 1; ; i++ {
		next := fmt.Sprintf(`,{"id":%d,"article":"A%d","quantity":%d,"price":%d,"note":""}`, 100+i, 1000+i, i%4+1, 1999+i)
		if b.Len()+len(next)+len("]") > jsonSize {
			break
		}
		b.WriteString(next)
	}
	b.WriteString("]")
	return append([]byte(b.String()), strings.Repeat(" ", jsonSize-b.Len())...)
}
