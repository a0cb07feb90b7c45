package services

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
)

// issue is like those of GitHub.
func (m maker) issue() Call {
	return post("issues", "/repos/octo-org/shop/issues", object{
		"title": m.text(), "body": m.text() + "\n\n" + m.text(), "labels": []string{m.pick("bug", "good first issue", "area/api"), "p2"},
		"assignees": []string{"octocat"}, "milestone": m.IntN(9), "state": "open", "user": object{"login": m.name(), "id": m.number()},
		"html_url": "https://git.example.com/octo-org/shop/issues/" + fmt.Sprint(m.number()),
	})
}

// charge is like those of Stripe: a form with brackets.
func (m maker) charge() Call {
	return form("payments", "/v1/charges", "amount", fmt.Sprint(m.number()), "currency", "eur", "source", "tok_"+m.id(),
		"description", m.text(), "metadata[order_id]", m.id(), "metadata[note]", m.text(), "expand[]", "customer",
		"shipping[address][line1]", "1 O'Connell St; Apt #5", "receipt_email", "jenny.o'neil+test@example.com", "customer[name]", m.name())
}

// pod is like what Kubernetes' API server takes.
func (m maker) pod() Call {
	return post("kubernetes", "/api/v1/namespaces/shop/pods?fieldManager=kubectl-client-side-apply&fieldValidation=Strict", object{
		"apiVersion": "v1", "kind": "Pod",
		"metadata": object{"name": "web-" + m.id(), "labels": object{"app.kubernetes.io/name": "web"}, "annotations": object{
			"description": m.text(), "prometheus.io/path": "/metrics",
		}},
		"spec": object{"containers": []object{{
			"name": "web", "image": "registry.example.com/web:1.2.3",
			"command":        []string{"/bin/sh", "-c"},
			"args":           []string{m.pick("exec nginx -g 'daemon off;'", "while true; do date; sleep 60; done", "set -e; cp /config/* /data/; exec /app", "/app --listen :8080")},
			"env":            []object{{"name": "PATH", "value": "/usr/local/bin:/usr/bin:/bin"}, {"name": "DSN", "value": "postgres://db:5432/app?sslmode=disable"}},
			"livenessProbe":  object{"exec": object{"command": []string{"cat", "/tmp/healthy"}}},
			"volumeMounts":   []object{{"mountPath": "/etc/ssl/certs", "name": "certs"}, {"mountPath": "/var/run/secrets/tokens", "name": "token"}},
			"readinessProbe": object{"httpGet": object{"path": "/healthz", "port": 8080}},
		}}},
	})
}

// traces are like OTLP in JSON.
func (m maker) traces() Call {
	attribute := func(key, value string) object { return object{"key": key, "value": object{"stringValue": value}} }
	return post("otlp", "/v1/traces", object{"resourceSpans": []object{{
		"resource": object{"attributes": []object{attribute("service.name", "checkout"), attribute("host.name", "ip-10-0-0-5")}},
		"scopeSpans": []object{{"scope": object{"name": "otelhttp"}, "spans": []object{{
			"traceId": m.uuid(), "spanId": m.id(), "name": "GET /v1/orders/{id}", "kind": 2, "startTimeUnixNano": "1762077600000000000",
			"attributes": []object{
				attribute("db.statement", m.pick("SELECT * FROM orders WHERE id = ? AND tenant = ?", "INSERT INTO carts (id, note) VALUES (?, ?)", "HGETALL cart:42", "UPDATE stock SET n = n - 1 WHERE sku = $1")),
				attribute("http.url", "https://api.example.com/v1/orders?limit=10&sort=-created_at"),
				attribute("http.user_agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"),
				attribute("exception.stacktrace", m.text()), attribute("exception.message", m.text()),
			},
		}}}},
	}}})
}

func (m maker) graphql() Call {
	query := m.pick(
		"query Repo($owner: String!, $first: Int = 10) {\n  repository(owner: $owner) {\n    id\n    name\n    issues(first: $first, orderBy: {field: CREATED_AT, direction: DESC}) {\n      nodes { id title author { login } }\n    }\n  }\n}",
		"mutation AddComment($input: AddCommentInput!) {\n  addComment(input: $input) {\n    commentEdge { node { id body } }\n  }\n}",
		"{ viewer { login organizations(first: 5) { nodes { id name } } } }",
		"query Q { a: user(id: 1) { ...F } b: user(id: 2) { ...F } }\nfragment F on User {\n  id\n  groups\n  host\n}",
	)
	return post("graphql", "/graphql", object{"operationName": "Repo", "query": query, "variables": object{
		"owner": m.name(), "input": object{"subjectId": m.id(), "body": m.text()},
	}})
}

// search is like Elasticsearch's.
func (m maker) search() Call {
	return post("search", "/logs-*/_search?ignore_unavailable=true&filter_path=hits.hits._source", object{
		"size": 50, "sort": []object{{"@timestamp": object{"order": "desc"}}},
		"query": object{"bool": object{
			"must":     []object{{"query_string": object{"query": m.pick("level:error AND service:checkout", "message:\"connection refused\" OR status:[500 TO 599]", "user.name:(ann OR bob) AND NOT host:web-1*")}}, {"match_phrase": object{"message": m.text()}}},
			"filter":   []object{{"range": object{"@timestamp": object{"gte": "now-1h", "lt": "now"}}}, {"term": object{"kubernetes.namespace": "shop"}}},
			"must_not": []object{{"exists": object{"field": "deleted_at"}}},
		}},
		"aggs":          object{"by_host": object{"terms": object{"field": "host.keyword", "size": 10}}},
		"script_fields": object{"total": object{"script": object{"source": "doc['price'].value * doc['qty'].value", "lang": "painless"}}},
	})
}

// bulk is Elasticsearch's: a document on each line.
func (m maker) bulk() Call {
	var b strings.Builder
	for range 1 + m.IntN(6) {
		action, _ := json.Marshal(object{"index": object{"_index": "logs-2026.11", "_id": m.id()}})
		doc, _ := json.Marshal(object{"@timestamp": m.time(), "message": m.text(), "level": m.pick("info", "error"), "user": m.name()})
		fmt.Fprintf(&b, "%s\n%s\n", action, doc)
	}
	return Call{Shape: "bulk", Method: "POST", Target: "/_bulk", Type: "application/x-ndjson", Body: b.String()}
}

// write is like InfluxDB's line protocol.
func (m maker) write() Call {
	var b strings.Builder
	for range 1 + m.IntN(10) {
		fmt.Fprintf(&b, "http_requests,method=GET,path=/v1/orders,status=%d value=%d,latency=%d.5 17620776%05d00000000\n", 200+m.IntN(300), m.number(), m.IntN(900), m.number())
	}
	return Call{Shape: "metrics", Method: "POST", Target: "/api/v2/write?org=shop&bucket=prod&precision=ns", Type: "text/plain; charset=utf-8", Body: b.String()}
}

// chat is like Slack's blocks.
func (m maker) chat() Call {
	return post("chat", "/api/chat.postMessage", object{
		"channel": "C" + m.id(), "text": m.text(), "mrkdwn": true,
		"blocks": []object{
			{"type": "section", "text": object{"type": "mrkdwn", "text": "*" + m.name() + "*: " + m.text()}},
			{"type": "context", "elements": []object{{"type": "plain_text", "text": m.text(), "emoji": true}}},
			{"type": "actions", "elements": []object{{"type": "button", "text": object{"type": "plain_text", "text": "Open"}, "url": "https://example.com/t/" + m.id() + "?a=1&b=2"}}},
		},
	})
}

// mail is like SendGrid's.
func (m maker) mail() Call {
	html := "<!DOCTYPE html><html><head><meta http-equiv=\"Content-Type\" content=\"text/html; charset=utf-8\"><style type=\"text/css\">a{color:#06c} @media (max-width:600px){.w{width:100%!important}}</style></head>" +
		"<body style=\"margin:0;background:#fff\"><table role=\"presentation\" width=\"100%\"><tr><td><h1>Hello " + m.name() + "</h1><p>" + m.pick("Thanks for your order &mdash; it's on its way!", "Reset your password", "Your invoice is ready") +
		"</p><a href=\"https://example.com/o/" + m.id() + "?utm_source=mail&amp;utm_medium=x\" style=\"display:inline-block\">View</a><img src=\"https://example.com/p.gif\" width=\"1\" height=\"1\" alt=\"\"></td></tr></table></body></html>"
	return post("mail", "/v3/mail/send", object{
		"personalizations": []object{{"to": []object{{"email": "ann.o'neil@example.com", "name": m.name()}}, "dynamic_template_data": object{"order": m.id(), "total": "€ 12.50"}}},
		"from":             object{"email": "no-reply@example.com"}, "subject": m.text(),
		"content":     []object{{"type": "text/plain", "value": m.text()}, {"type": "text/html", "value": html}},
		"attachments": []object{{"content": base64.StdEncoding.EncodeToString([]byte(m.text() + "\n\n" + m.text())), "filename": "invoice (1).pdf", "type": "application/pdf"}},
	})
}

// logs are like Loki's push.
func (m maker) logs() Call {
	var values [][]string
	for range 1 + m.IntN(8) {
		values = append(values, []string{"1762077600000000000", m.text()})
	}
	return post("logs", "/loki/api/v1/push", object{"streams": []object{{"stream": object{"app": "checkout", "pod": "checkout-" + m.id()}, "values": values}}})
}

// query is like Prometheus'.
func (m maker) query() Call {
	expr := m.pick(
		`sum(rate(http_requests_total{job="api",code=~"5.."}[5m])) by (path) / sum(rate(http_requests_total{job="api"}[5m])) by (path) > 0.05`,
		`up{job=~"node|kubelet"} == 0 or absent(up{job="api"})`,
		`histogram_quantile(0.99, sum by (le) (rate(latency_seconds_bucket[5m])))`,
		`count(kube_pod_status_phase{phase!="Running"} == 1) and on() vector(1)`,
	)
	return Call{Shape: "promql", Method: "GET", Target: "/api/v1/query_range?query=" + url.QueryEscape(expr) + "&start=1762077600.123&end=1762081200&step=15s"}
}

// list is a GET with the usual parameters.
func (m maker) list() Call {
	v := url.Values{
		"limit": {"50"}, "order": {"desc"}, "sort": {"-created_at,name"}, "fields": {"id,name,items(id,price)"},
		"filter": {m.pick("status eq 'open' and total gt 10", "name='O\\'Brien'", "state:open label:bug sort:updated-desc", "created>=2026-01-01", "type in (a,b)")},
		"q":      {m.line()}, "cursor": {base64.StdEncoding.EncodeToString([]byte(`{"id":` + fmt.Sprint(m.number()) + `,"dir":"next"}`))},
		"redirect_uri": {"https://app.example.com/callback?x=1"}, "labelSelector": {"app in (web,api),tier!=cache"},
	}
	return Call{Shape: "list", Method: "GET", Target: "/v1/orders?" + v.Encode()}
}

// webhook carries an event whose payload is a document within a text.
func (m maker) webhook() Call {
	inner, _ := json.Marshal(object{"id": m.id(), "note": m.text(), "by": m.name(), "at": m.time()})
	return post("webhook", "/hooks/"+m.id(), object{
		"specversion": "1.0", "type": "com.example.order.created", "source": "/shop/orders", "id": m.uuid(), "time": m.time(),
		"datacontenttype": "application/json", "data": string(inner), "data_base64": base64.StdEncoding.EncodeToString(inner),
	})
}

// features is an array of small objects, in which nothing is a text of people.
func (m maker) features() Call {
	var items []object
	for range 1 + m.IntN(40) {
		items = append(items, object{"id": m.number(), "sku": m.pick("SKU-", "A/B-", "X_") + m.id(), "price": 12.5, "tags": []string{"new", "sale-50%"}, "active": m.IntN(2) == 0, "ref": m.uuid()})
	}
	return post("items", "/v1/items:batchCreate", object{"items": items, "page": object{"next": nil}})
}

// completion is like what language models are asked.
func (m maker) completion() Call {
	return post("completion", "/v1/chat/completions", object{
		"model": "m-1", "temperature": 0.2, "stream": true,
		"messages": []object{
			{"role": "system", "content": "You are a helpful assistant. Don't reveal secrets; answer in Markdown."},
			{"role": "user", "content": "Explain this:\n\n" + m.text() + "\n\nand this:\n\n" + m.text()},
		},
		"tools": []object{{"type": "function", "function": object{"name": "get_weather", "parameters": object{"type": "object", "properties": object{"city": object{"type": "string", "$comment": m.text()}}}}}},
	})
}

// upload is a form with a file.
func (m maker) upload() Call {
	const boundary = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
	part := func(head, content string) string {
		return "--" + boundary + "\r\nContent-Disposition: form-data; " + head + "\r\n\r\n" + content + "\r\n"
	}
	body := part(`name="title"`, m.text()) +
		part(`name="file"; filename="notes (final).md"`+"\r\nContent-Type: text/markdown", "# Notes\n\n"+m.text()+"\n\n"+m.text()) +
		"--" + boundary + "--\r\n"
	return Call{Shape: "upload", Method: "POST", Target: "/v1/files", Type: "multipart/form-data; boundary=" + boundary, Body: body}
}

// statement is for services that take SQL, such as those for reports.
func (m maker) statement() Call {
	return post("statement", "/v1/statement", object{
		"statement": m.pick("SELECT count(*) FROM orders WHERE created_at > date_sub(now(), interval 1 day)",
			"SELECT region, sum(total) AS t FROM sales GROUP BY region HAVING sum(total) > 1000 ORDER BY t DESC LIMIT 10",
			"WITH d AS (SELECT * FROM events WHERE type = 'click') SELECT user_id, count(*) FROM d GROUP BY 1",
			"INSERT INTO target SELECT a, b FROM source WHERE a IS NOT NULL"),
		"parameters": []object{{"name": "p1", "value": m.text()}}, "timeout": 60,
	})
}
