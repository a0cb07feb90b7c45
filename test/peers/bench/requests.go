package bench

import (
	"bytes"
	"fmt"
	"net/http"

	"github.com/outrider-mesh/outrider/loadtest/target"
	"github.com/outrider-mesh/outrider/test/peers/hop"
)

// An inspectable is a kind of request that is measured with inspection on.
type inspectable struct {
	name   string
	benign hop.Request
	// attack is the same request with something in it that every rule set knows; of
	// the largest a smaller one, since some engines take seconds for it.
	attack hop.Request
	// refused tells that the attack is what is measured.
	refused bool
}

// sent is the request that is measured.
func (i inspectable) sent() hop.Request {
	if i.refused {
		return i.attack
	}
	return i.benign
}

// answerSize is how long the answers are, in bytes.
const answerSize = 1024

// inspectables are what services commonly send to each other, and one attack.
func inspectables() []inspectable {
	const form, json, union = "application/x-www-form-urlencoded", "application/json", "1' UNION SELECT login, password FROM users -- "
	path := fmt.Sprintf("/%d", answerSize)
	injection := get(path + "?customer=alice&page=2&sort=1%27%20OR%20%271%27%3D%271%27%20--%20")
	return []inspectable{
		{name: "GET", benign: get(path), attack: get(path + "?q=%3Cscript%3Ealert%28document.cookie%29%3C%2Fscript%3E")},
		{name: "GET, 3 arguments", benign: get(path + "?customer=alice&page=2&sort=date"), attack: injection},
		{
			name:   "POST, form of 200 bytes",
			benign: post(path, form, []byte(formText)),
			attack: post(path, form, []byte(formText+"&note=%3Cscript%3Ealert%28document.cookie%29%3C%2Fscript%3E")),
		},
		{name: "POST, JSON of 1 KiB", benign: post(path, json, orders(1<<10, "")), attack: post(path, json, orders(1<<10, union))},
		{name: "POST, JSON of 10 KiB", benign: post(path, json, orders(10<<10, "")), attack: post(path, json, orders(10<<10, union))},
		{name: "POST, JSON of 10 KiB, sentences", benign: post(path, json, articles(10<<10, "")), attack: post(path, json, articles(10<<10, union))},
		{name: "POST, JSON of 64 KiB, sentences", benign: post(path, json, articles(64<<10, "")), attack: post(path, json, articles(10<<10, union))},
		{name: "GET, SQL injection", benign: get(path), attack: injection, refused: true},
	}
}

func get(path string) hop.Request {
	return hop.Request{Method: http.MethodGet, Target: path, Header: honest()}
}

func post(path, contentType string, body []byte) hop.Request {
	header := append(honest(), target.Field{Name: "Content-Type", Value: contentType})
	return hop.Request{Method: http.MethodPost, Target: path, Header: header, Body: body}
}

// formText has 200 bytes.
const formText = "customer=alice&name=Alice+Baker&street=12+Harbour+Road&city=Bristol&postcode=BS1+4RW&country=GB" +
	"&email=alice.baker%40example.com&phone=117496012&quantity=3&article=A1001&express=true&gift=false&lang=en"

// orders is an array of small objects, filled up to its size with blanks. The
// note of the first is as given.
func orders(size int, note string) []byte {
	first := fmt.Sprintf(`{"id":100,"article":"A1000","quantity":1,"price":1999,"note":%q}`, note)
	return array(size, first, func(i int) string {
		return fmt.Sprintf(`{"id":%d,"article":"A%d","quantity":%d,"price":%d,"note":""}`, 100+i, 1000+i, i%4+1, 1999+i)
	})
}

// articles is the same of objects of which two thirds are sentences. 64 KiB of them
// have fewer values than the 1,000 that are inspected.
func articles(size int, note string) []byte {
	const text = `,"name":"Espresso cup","description":"A cup of white porcelain, 80 ml; for the dishwasher, too. Made in Limoges.",` +
		`"price":12.5,"note":"Ask for the saucer; it comes in a box of its own, and breaks easily when it is not packed well. ` +
		`We send it within two days, and take it back within thirty, no questions asked."}`
	first := fmt.Sprintf(`{"id":"none","name":"Espresso cup","description":%q}`, note)
	return array(size, first, func(i int) string {
		return fmt.Sprintf(`{"id":"550e8400-e29b-41d4-a716-%012d"`, i) + text
	})
}

// array is filled up to its size with blanks.
func array(size int, first string, next func(i int) string) []byte {
	b := []byte("[" + first)
	for i := 1; ; i++ {
		more := next(i)
		if len(b)+len(",")+len(more)+len("]") > size {
			break
		}
		b = append(append(b, ','), more...)
	}
	b = append(b, ']')
	return append(b, bytes.Repeat([]byte(" "), size-len(b))...)
}
