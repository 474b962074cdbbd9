package main

import (
	"fmt"
	"strconv"
	"strings"

	exportgatev1 "github.com/exportgate/exportgate/gen/exportgate/v1"
)

// phaseName is Zeebe's own word for a phase.
func phaseName(phase exportgatev1.Phase) string { return strings.TrimPrefix(phase.String(), "PHASE_") }

// roleName is Zeebe's own word for a role.
func roleName(role exportgatev1.Role) string { return strings.TrimPrefix(role.String(), "ROLE_") }

// continuityName is the word for whether exporting stood still under a hold.
func continuityName(continuity exportgatev1.Continuity) string {
	return strings.TrimPrefix(continuity.String(), "CONTINUITY_")
}

// partitionName is the partition's id, with the tenant where the cluster has several.
func partitionName(tenant string, id int32) string {
	if tenant == "" {
		return strconv.Itoa(int(id))
	}
	return tenant + "/" + strconv.Itoa(int(id))
}

// count is a number of things.
func count(number int, thing string) string {
	return fmt.Sprintf("%d %s", number, plural(number, thing))
}

// plural is the word for one thing or for several.
func plural(number int, thing string) string {
	if number == 1 {
		return thing
	}
	return thing + "s"
}
