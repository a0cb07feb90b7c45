package sidecars

// A Record is what is read of a record of the access log.
type Record struct {
	Time       string `json:"time"`
	Kind       string `json:"kind"`
	DecisionID string `json:"decision_id"`
	Direction  string `json:"direction"`
	Listener   string `json:"listener"`
	Source     struct {
		Address string `json:"address"`
		ID      string `json:"id"`
	} `json:"source"`
	Destination struct {
		Address string `json:"address"`
		Service string `json:"service"`
		ID      string `json:"id"`
	} `json:"destination"`
	Method   string `json:"method"`
	Host     string `json:"host"`
	Path     string `json:"path"`
	Protocol string `json:"protocol"`
	Security string `json:"security"`
	Status   int    `json:"status"`
	Reason   string `json:"reason"`
	Decision struct {
		Verdict string `json:"verdict"`
		Policy  string `json:"policy"`
		Rule    *int   `json:"rule"`
	} `json:"decision"`
	WAF struct {
		Outcome string `json:"outcome"`
	} `json:"waf"`
	Times struct {
		Total int64 `json:"total"`
	} `json:"t_us"`
	// Records is of a line that tells how many were lost.
	Records int `json:"records"`
}
