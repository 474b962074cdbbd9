package zeebe

import (
	"encoding/json"

	"github.com/exportgate/exportgate/server/internal/exporting"
)

// decodeExporters decodes the answer to GET exporters and reports whether it proves that no exporter works. Only words
// that are known to mean so prove it: what may be enabled counts as enabled (zeebe-facts.md 4.2).
func decodeExporters(body []byte) (none bool, err error) {
	var list *[]struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		return false, misread(err, body)
	}
	if list == nil {
		return false, misread(nil, body)
	}
	for _, exporter := range *list {
		switch exporter.Status {
		case "DISABLED", "DISABLING", "CONFIG_NOT_FOUND":
		default:
			return false, nil
		}
	}
	return true, nil
}

// mayHaveNoExporters reports whether a replica looks as if there was nothing to export to: its director is closed, and
// no exporter ever stored a position.
func mayHaveNoExporters(r exporting.Reading) bool {
	return r.Phase == exporting.PhaseClosed && r.Exported == exporting.At(-1)
}
