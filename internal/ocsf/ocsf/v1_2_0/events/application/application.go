// Package application has the event that the engine makes of a request.
package application

import (
	"github.com/valllabh/ocsf-schema-golang/ocsf/v1_2_0/events/application/enums"
	"github.com/valllabh/ocsf-schema-golang/ocsf/v1_2_0/objects"
)

// WebResourcesActivity is one request and what became of it.
type WebResourcesActivity struct {
	ActivityId                            int32
	ActivityName, CategoryName, ClassName string
	CategoryUid, ClassUid                 int32
	Time                                  int64
	ActionId                              enums.Action
	Action                                string
	Metadata                              *objects.Metadata
	TypeUid                               int64
	Enrichments                           []*objects.Enrichment
	HttpRequest                           *objects.HttpRequest
	HttpResponse                          *objects.HttpResponse
	SrcEndpoint, DstEndpoint              *objects.NetworkEndpoint
	WebResources                          []*objects.WebResource
	Message                               string
	TimezoneOffset                        int32
	Severity                              string
	SeverityId                            int32
	StartTime                             int64
	TypeName                              string
	Observables                           []*objects.Observable
}
