package gateway

import (
	"net/http"
	"runtime"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// Info is what is running.
type Info struct {
	// Version is this program's, "v1.2.3", and Commit what it was built from; either may be empty.
	Version, Commit string
	// LedgerVersion is that of the form in which holds are stored; 0 where it is not told.
	LedgerVersion int
	// ZeebeVersions are the brokers', as far as they are known, in ascending order.
	ZeebeVersions []string
}

// infoBody has Spring Boot's names for what a program says of itself, and of what it runs on.
type infoBody struct {
	Build  buildInfo  `json:"build"`
	Go     goInfo     `json:"go"`
	Schema schemaInfo `json:"schema"`
	Zeebe  zeebeInfo  `json:"zeebe"`
}

type buildInfo struct {
	Name    string `json:"name"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
}

type goInfo struct {
	Version string `json:"version"`
}

// schemaInfo is what must be the same for two programs to understand each other, or each other's files.
type schemaInfo struct {
	API    string `json:"api"`
	Ledger int    `json:"ledger,omitempty"`
}

type zeebeInfo struct {
	Versions []string `json:"versions"`
}

func (h *handler) serveInfo(w http.ResponseWriter, r *http.Request) {
	info := h.info()
	writeJSON(w, r, http.StatusOK, infoBody{
		Build:  buildInfo{Name: "exportgate", Version: info.Version, Commit: info.Commit},
		Go:     goInfo{Version: runtime.Version()},
		Schema: schemaInfo{API: apiVersion(), Ledger: info.LedgerVersion},
		Zeebe:  zeebeInfo{Versions: append([]string{}, info.ZeebeVersions...)}, // never null
	})
}

// apiVersion is the name of the contract's package, which changes when a client of the old one would not work any more.
func apiVersion() string {
	return string(exportgatev1.File_exportgate_v1_exporting_service_proto.Package())
}
