// Package objects has the parts of an event that the engine names.
package objects

type (
	HttpHeader  struct{ Name, Value string }
	WebResource struct{ UrlString string }
	Enrichment  struct{ Data, Name, Value string }
	Observable  struct {
		Name, Type string
		TypeId     int32
		Value      string
	}
)

type Metadata struct {
	CorrelationUid, EventCode, LogLevel, LogName, LogProvider, LogVersion string
	LoggedTime                                                            int64
	Product                                                               *Product
	Version                                                               string
}
type (
	Product     struct{ VendorName string }
	Url         struct{ UrlString string }
	HttpRequest struct {
		Version, Args, HttpMethod, Uid string
		Url                            *Url
		HttpHeaders                    []*HttpHeader
		Length                         int32
		UserAgent, Referrer            string
		XForwardedFor                  []string
	}
)

type HttpResponse struct {
	Code        int32
	HttpHeaders []*HttpHeader
}
type NetworkEndpoint struct {
	Ip   string
	Port int32
}
