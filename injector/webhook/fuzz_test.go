package webhook_test

import (
	"encoding/json"
	"net/http"
	"testing"

	admissionv1 "k8s.io/api/admission/v1"
)

// Whatever comes, an answer says nothing but what it was asked, and a pod that is
// let in unchanged was not to be injected.
func FuzzReview(f *testing.F) {
	f.Add(review("shop", pod(owner, ""), ""))
	f.Add(review("plain", pod(`"labels":{"outrider.dev/inject":"enabled"}`, `"hostNetwork":true,`), ""))
	f.Add("{")
	w := handler(f)
	f.Fuzz(func(t *testing.T, body string) {
		rec := w.post(t, body)
		var asked, answer admissionv1.AdmissionReview
		if rec.Code != http.StatusOK {
			return
		}
		if json.Unmarshal(rec.Body.Bytes(), &answer) != nil || json.Unmarshal([]byte(body), &asked) != nil {
			t.Fatalf("answered %s", rec.Body)
		}
		if answer.Response.UID != asked.Request.UID {
			t.Errorf("the answer is for %q", answer.Response.UID)
		}
		if verdict := answer.Response.AuditAnnotations["verdict"]; answer.Response.Allowed == (verdict == "refuse") {
			t.Errorf("%s, and allowed: %v", verdict, answer.Response.Allowed)
		}
	})
}
